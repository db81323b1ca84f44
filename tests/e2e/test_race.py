"""Two schedulers and one last slice."""
from cluster import nodes, pods
from cluster.audit import Audit
from cluster.processes import wait_for


def test_two_schedulers_race_for_the_last_slice(cluster, tessera, extender, scheduler):
    """A second kube-scheduler, not held back by leader election, asks the same extender about the same pods: each pod
    that fits is bound once, no GPU is given twice, and what does not fit stays Pending."""
    second = tessera.start_scheduler(extender, "second-scheduler")
    tried = lambda process: tessera.metric(process, "scheduler_schedule_attempts_total")
    before = tried(scheduler)
    try:
        nodes.create(cluster, "node-a", gpus=1)
        for attempt in range(20):
            names = [f"p{attempt}-{i}" for i in range(4)]
            with Audit(cluster, nodes.A100[1]) as audit:
                for name in names:
                    cluster.create("pods", pods.slice_pod(name, 50000, 60))
                wait_for("one to be bound", lambda: len(audit.holders()) == 1)
                # The others have been refused for lack of room, not only not been looked at yet.
                waiting = [name for name in names if not pods.bound_node(cluster, name)]
                for name in waiting:
                    wait_for(f"{name} to be refused", lambda n=name: pods.events_of(cluster, n, reason="FailedScheduling"))
                audit.check()
                assert len(waiting) == 3 and len(audit.holders()) == 1
            for name in names:
                cluster.delete("pods", name, grace=0)
            wait_for("no pods", lambda: not cluster.list("pods", "default"))
        assert tried(scheduler) > before and tried(second) > 0, "there was no race"
    finally:
        second.stop()
