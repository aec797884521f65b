"""What happens on a site, in no OCPP version and without any I/O."""
