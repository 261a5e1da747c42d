"""The functions behind the commands other than ``analyze`` and the trainer's."""
