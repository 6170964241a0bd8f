"""The ClientApp: a node trains and evaluates on its samples."""

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch.nn.functional import cross_entropy

from digits_app import task

app = ClientApp()


def given(message: Message, context: Context, *, test: bool):
    """Return the network with the weights of a message, and the samples of the node."""
    model = task.network()
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    node, nodes = (context.node_config[key] for key in ("partition-id", "num-partitions"))
    return model, *task.samples(node, nodes, test=test)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train, and reply the weights."""
    model, x, y = given(message, context, test=False)
    config = context.run_config
    loss = task.train(model, x, y, config["epochs"], config["step-size"])
    metrics = MetricRecord({"train_loss": loss, "num-examples": len(y)})
    reply = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
    return Message(reply, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate, and reply the figures."""
    model, x, y = given(message, context, test=True)
    with torch.no_grad():
        found = model(x)
    figures = {
        "eval_loss": cross_entropy(found, y).item(),
        "eval_acc": (found.argmax(1) == y).float().mean().item(),
        "num-examples": len(y),
    }
    return Message(RecordDict({"metrics": MetricRecord(figures)}), reply_to=message)
