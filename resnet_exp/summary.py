"""The first and the last lines of a run, for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from resnet_exp import check
from resnet_exp.console import span
from resnet_exp.devices import usable_cpus
from resnet_exp.rundir import RunDir

SECONDS_PER_HOUR = 3600


def header(config: dict[str, Any], folder: RunDir) -> str:
    """What is about to be trained, on what, for how long, where; and how to train on ImageNet."""
    length, unit = check.scaled_duration(config)
    names = ", ".join(config["algorithms"]) or "none"
    hardware, dataset = config["hardware"], config["dataset"]
    long_unit = "epochs" if unit == "ep" else "batches"
    lines = [
        config["run_id"],
        f"  training  {config['model']['name']} with recipe={config['recipe']}: {length} {long_unit} "
        f"({config['schedule']['max_duration']} x ssr={config['ssr']}), {config['train_batch_size']} images a batch",
        f"  data      {dataset['title']} ({dataset['num_classes']} classes, data={config['data']['name']}, "
        f"trained at {config['resolution']['train']} px)",
        f"  device    {_devices(hardware)}, {hardware['precision']}",
        f"  methods   {names}",
        f"  folder    {folder.path}",
    ]
    if folder.latest_checkpoint.exists():
        lines.append("  resuming  from the last checkpoint")
    if dataset["name"] == "digits":
        lines.append(
            f"  ImageNet  python -m resnet_exp recipe={config['recipe']} ssr={config['ssr']} dataset=imagenet "
            "dataset.dir=/path/to/imagenet"
        )
    return "\n".join(lines + [f"  note      {note}" for note in check.notes(config)])


def _devices(hardware: dict[str, Any]) -> str:
    if hardware["device"] == "cpu":
        return f"{usable_cpus()} CPU cores"
    nodes = f"{hardware['nodes']} nodes of " if hardware["nodes"] > 1 else ""
    return f"{nodes}{hardware['devices']} x {hardware['gpu'] or 'GPU'}"


def cost_usd(result: dict[str, Any]) -> float | None:
    """Training time at the hardware's price of an hour; None without a price."""
    hardware = result["hardware"]
    if hardware["usd_per_node_hour"] is None:
        return None
    hours = result["timing"]["train_seconds"] / SECONDS_PER_HOUR
    return hours * hardware["nodes"] * hardware["usd_per_node_hour"]


def table(result: dict[str, Any], path: Path) -> str:
    """The result of a run in a few aligned lines."""
    timing, cost = result["timing"], cost_usd(result)
    waiting = timing["data_wait_seconds"] / timing["train_seconds"]
    rows = [
        ("top-1", f"{result['top1']:.2%}  of {result['val_images']:,} images, each seen once"),
        ("top-5", f"{result['top5']:.2%}"),
        ("epochs", f"{result['epochs']}  ({result['batches']:,} batches)"),
        ("train time", f"{span(timing['train_seconds'])}  (without evaluation: {span(timing['eval_seconds'])})"),
        ("speed", f"{result['samples_per_second']:,.0f} images/s"),
        ("waiting", f"{waiting:.1%} of the train time for data"),
    ]
    if cost is not None:
        price = result["hardware"]
        rows.append(("cost", f"${cost:.2f}  at ${price['usd_per_node_hour']:g} an hour ({price['price_date']})"))
    if result["resumed"]:
        rows.append(("resumed", f"{result['resumed']} times"))
    rows.append(("folder", str(path)))
    return "\n".join(f"  {name:<10}  {value}" for name, value in rows)
