"""The edge: HTTP and WebSocket, request bodies, limits, errors, and the list of slices that make the schema."""
