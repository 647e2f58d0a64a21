"""The operations of the campaignos surface, by subject."""
