"""What the campaignos surface takes and gives, by subject."""
