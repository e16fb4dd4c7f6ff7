"""Files of images, labels and masks, in and out: arrays with their geometry; no model and no setting."""
