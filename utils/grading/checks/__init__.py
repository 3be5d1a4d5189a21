"""One module per chapter: the checks of its exercises, registered with `utils.grading.exercise`."""
