"""What users write and who restarts it: actors, tasks and supervisors, on top of the channels."""
