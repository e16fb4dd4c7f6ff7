"""A server on the own machine: a page for people, a plain request, and the REST interface of MONAI Label for viewers."""
