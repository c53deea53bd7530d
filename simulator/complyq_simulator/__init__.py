"""A local stand-in for X's batch compliance API and for Cloud Storage. Imports none of the other packages."""
