"""A stored transformer's requests of few words, computed by onnxruntime."""
