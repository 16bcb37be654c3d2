"""mmengine's ``Pretrained``, without its silence about what is missing."""
from collections.abc import Sequence

from mmengine.logging import print_log
from mmengine.model import PretrainedInit as MMEnginePretrainedInit
from mmengine.model import update_init_info
from torch import nn

from mmpartref.errors import WeightsError
from mmpartref.models.weights.archives import locate_url
from mmpartref.models.weights.key_report import compare_keys
from mmpartref.models.weights.load_checkpoint import load_checkpoint
from mmpartref.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module(name='Pretrained')
class PretrainedInit(MMEnginePretrainedInit):
    """Load a checkpoint into a module and refuse one that leaves part of it untouched.

    mmengine logs missing and misshapen keys and goes on, so a checkpoint of another model trains from random weights
    without a hint. Here they are an error; entries the module has no use for (a classifier's last layer) are counted
    and printed. Under ``default_scope = 'mmpartref'`` this class answers to mmengine's name.

    Args:
        checkpoint: a URL (see ``locate_url``: looked for, fetched, checked), or whatever else mmengine's loader
            takes: a path, ``torchvision://resnet50``, ...
        prefix: load only the entries that start so, without it.
        map_location: as in ``torch.load``.
        may_lack: parts of names that may be missing, or of another shape; they stay as initialised and are counted.
    """

    def __init__(self,
                 checkpoint: str,
                 prefix: str | None = None,
                 map_location: str = 'cpu',
                 may_lack: Sequence[str] = ()) -> None:
        super().__init__(checkpoint, prefix, map_location)
        self.may_lack = tuple(may_lack)

    def __call__(self, module: nn.Module) -> None:
        """Load the weights in place.

        Raises:
            WeightsError: a key is missing or of another shape; all are listed.
        """
        source = self.checkpoint
        if source.startswith(('http://', 'https://')):
            source = str(locate_url(source))
        content = load_checkpoint(source, self.map_location)
        state = content.get('state_dict', content)
        if self.prefix is not None:
            prefix = f"{self.prefix.removesuffix('.')}."
            state = {name[len(prefix):]: value for name, value in state.items() if name.startswith(prefix)}
            if not state:
                raise WeightsError(f'{self.checkpoint} has no entry that starts with {prefix!r}; correct the prefix')
        state = {name.removeprefix('module.'): value for name, value in state.items()}
        own = module.state_dict()
        replaced = [name for name in own if name in state and state[name].shape != own[name].shape
                    and any(part in name for part in self.may_lack)]
        for name in replaced:
            del state[name]
        if replaced:
            print_log(f'{self.checkpoint}: {len(replaced)} entries of another shape stay as initialised: '
                      f'{", ".join(replaced)}', 'current')
        # Checkpoints older than torch 0.4.1 have no such counter, and nothing here reads it.
        report = compare_keys(state, own, may_lack=('num_batches_tracked', *self.may_lack))
        if report.missing or report.reshaped:
            raise WeightsError(f'{self.checkpoint} does not fit this {type(module).__name__}; parts that may stay as '
                               f'initialised can be named in init_cfg.may_lack:\n{report}')
        if report.unexpected:
            print_log(f'{self.checkpoint}: {len(report.unexpected)} entries have no place in this '
                      f'{type(module).__name__}: {", ".join(report.unexpected)}', 'current')
        module.load_state_dict(state, strict=False)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, f'Pretrained: {self.checkpoint}')
