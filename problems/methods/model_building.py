"""Build a model, its parts and its optimizer from the sections of a config, for every problem."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

from problems.engine.config.registry import build, load_class, resolve
from problems.engine.runtime.overrides import call

if TYPE_CHECKING:
    from dataset.encoders import LabelEncoder

Section = Mapping[str, Any]


class ModelBuilding:
    """Builds upstream, featurizer, head, model, task, optimizer and schedule. Every method may be overridden."""

    def build_upstream(self, build_upstream: Section) -> Any:
        """The upstream."""
        target = resolve(build_upstream["name"], load_class("nn.upstream:UPSTREAMS"), "build_upstream.name")
        return build(target, build_upstream["conf"], "build_upstream")

    def build_featurizer(self, build_featurizer: Section, upstream: Any) -> Any:
        """The featurizer of an upstream."""
        return build("nn.featurizer:Featurizer", build_featurizer, "build_featurizer", upstream=upstream)

    def build_downstream(
        self,
        build_downstream: Section,
        downstream_input_size: int,
        downstream_output_size: int,
        downstream_input_stride: int,
    ) -> Any:
        """The head: (B, T, downstream_input_size) at one frame per ``downstream_input_stride`` samples in."""
        target = resolve(build_downstream["name"], load_class("nn.downstream:DOWNSTREAMS"), "build_downstream.name")
        sizes = {"input_size": downstream_input_size, "output_size": downstream_output_size}
        if "input_stride" in signature(load_class(target)).parameters:
            sizes["input_stride"] = downstream_input_stride
        return build(target, build_downstream["conf"], "build_downstream", **sizes)

    def build_model(
        self,
        build_model: Section,
        model_output_size: int,
        build_upstream: Section,
        build_featurizer: Section,
        build_downstream: Section,
    ) -> Any:
        """Upstream, featurizer and head as one model."""
        upstream = call(self, "build_upstream", build_upstream=build_upstream)
        featurizer = call(self, "build_featurizer", build_featurizer=build_featurizer, upstream=upstream)
        downstream = call(
            self,
            "build_downstream",
            build_downstream=build_downstream,
            downstream_input_size=featurizer.output_size,
            downstream_output_size=model_output_size,
            downstream_input_stride=featurizer.downsample_rate,
        )
        specaug, finetune = build_model["specaug"], build_model.get("finetune")
        return build(
            "nn.model:UpstreamDownstreamModel",
            None,
            "build_model",
            upstream=upstream,
            featurizer=featurizer,
            downstream=downstream,
            upstream_trainable=build_model["upstream_trainable"],
            augment=None if specaug is None else build("nn.specaug:SpecAugment", specaug, "build_model.specaug"),
            finetune=None
            if finetune is None
            else build("nn.finetune.schedule:FineTuning", finetune, "build_model.finetune"),
        )

    def build_task(self, build_task: Section, model: Any, encoder: LabelEncoder) -> Any:
        """One train, valid or test step with its metrics."""
        raise NotImplementedError(f"{type(self).__name__} must define build_task")

    def task_arguments(
        self,
        build_dataset: Section,
        mode: str,
        data_csv: str,
        train_csv: str,
        build_task: Section | None = None,
    ) -> dict[str, Any]:
        """The arguments of ``build_task`` beside its section, model and encoder.

        Args:
            mode: valid for a training, whose checkpoints keep what is returned (JSON, encoders, DataFrames); test for
                an evaluation, in which it takes the place of what the checkpoint kept under the same name.
            data_csv: the validation set, or the test set.
        """
        return {}

    def task_sources(self, build_task: Section) -> list[str]:
        """Files that ``build_task`` reads in a test; if the content of one changes, the test is stale."""
        return []

    def build_optimizer(self, build_optimizer: Section, parameters: Any) -> Any:
        """The optimizer of ``parameters``: those that are trained, of the modules that it updates."""
        from problems.engine.optim import optimizers

        return optimizers.build_optimizer(build_optimizer, parameters)

    def build_scheduler(self, build_scheduler: Section, optimizer: Any) -> Any:
        """The schedule of the learning rate."""
        from problems.engine.optim import lr_schedules

        return lr_schedules.build_scheduler(build_scheduler, optimizer)
