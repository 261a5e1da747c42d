"""The command around its commands."""

from __future__ import annotations

import signal

import pytest

from fermedia.cli import main


@pytest.mark.parametrize(
    "words",
    [
        "libGL.so.1: cannot open shared object file: No such file or directory",
        "dlopen(cv2.abi3.so, 0x0002): Library not loaded: @rpath/libavcodec.dylib",
        "DLL load failed while importing cv2: The specified module could not be found.",
    ],
)
def test_a_library_that_a_system_lacks_is_told_in_one_line(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_options: object) -> int:
        raise ImportError(words)

    monkeypatch.setattr("fermedia.cli.cli", fail)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(f"fermedia: a system library is missing ({words}); install it")
    assert said.count("\n") == 1
