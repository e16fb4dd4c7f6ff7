"""Networks as files that other runtimes read: graphs of ONNX, with weights or without."""
