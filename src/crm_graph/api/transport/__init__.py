"""HTTP and WebSocket: heads, bodies, frames and streams."""
