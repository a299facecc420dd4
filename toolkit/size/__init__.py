"""From measured curves to machines and money, and the limits that arithmetic sets. Pure: it measures nothing itself."""
