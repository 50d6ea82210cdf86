"""The CRM itself, as vertical slices: `<domain>/<entity>/`."""
