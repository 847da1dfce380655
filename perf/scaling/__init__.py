"""What the shipped autoscaling does to a queue: a simulation of its algorithm over real workers and real jobs."""
