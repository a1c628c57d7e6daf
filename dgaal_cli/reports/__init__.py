"""Pictures and pages about rounds."""
