"""The only place that spells OCPP payload keys: what a payload means, and how to write one."""
