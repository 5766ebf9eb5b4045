namespace modelslim {}
