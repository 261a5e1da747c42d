/** What pages.py puts into a page before the scripts: the page's data, checked by tests that open it. */
interface Window {
  report: any;
}
