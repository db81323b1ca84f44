"""A real Kubernetes control plane on the loopback, with Tessera's own programs beside it."""
