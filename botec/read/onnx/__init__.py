"""Networks in ONNX files: the graph as a torch module, and what each of its operators is there."""
