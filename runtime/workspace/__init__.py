"""Where runs are kept: workspace, project, experiment, run; and how an execution is recorded."""
