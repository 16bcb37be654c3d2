"""Tables of what test_code_blocks.py runs and what it only checks, with the reasons.

Commands that no table lists fail the test.
"""
# Languages of code blocks. 'python', 'bash' and 'json' are run or checked; these are skipped.
NOT_CODE = {
    'text': 'output, or a folder as it looks',
    'xml': 'a labelling config, which tests/labelling has in this form',
    '{toctree}': 'Sphinx: the contents of the site',
    '{eval-rst}': 'Sphinx: what autodoc writes',
}

# Placeholders in commands and their values in the tests. The checkpoint is that of the config.
PLACEHOLDERS = {
    'IMAGE': 'image.jpg',
    'IMAGES': 'data/flat',
    'DATA': 'data/flat',
    'CONFIG': 'configs/cris_tiny_toyparts.py',
    'CHECKPOINT': 'work_dirs/{config}/epoch_7.pth',
}
# Other values on single pages.
PAGE_PLACEHOLDERS = {
    'docs/absent_parts.md': {'CONFIG': 'configs/toyparts/cris_tiny_toyparts_absent.py'},
}
# Kind of the dumps of a page: of the test split (default), of 'val', or of a test with absent parts.
PAGE_DUMPS = {
    'docs/absent_parts.md': 'absent',
    'docs/benchmarks.md': 'val',
}

# Configs that train and predict in a second; all others are as large as published, start from CLIP's or COCO's weights
# and are checked: read, with their options, their datasets read, their model built without memory.
SMALL_CONFIGS = ('cris_tiny_toyparts.py', 'cris_tiny_toyparts_absent.py', 'cris_tiny_toyparts_blind.py',
                 'cris_tiny_lamps.py', 'mask_rcnn_tiny_toyparts.py')
# Overrides that limit these to the first few images.
FEW_IMAGES = {
    'cris_tiny_lamps.py': ('train_dataloader.dataset.indices=8', 'val_dataloader.dataset.indices=4',
                           'test_dataloader.dataset.indices=4'),
}

# tools/: arguments that make a run short. Tools with a config run where it is a small one.
RUN_TOOLS = {
    'browse_dataset': (),
    'calibrate_presence': (),
    'compare': ('--resamples', '50'),
    'dataset_doctor': (),
    'diagnose': (),
    'evaluate': (),
    'export_queries': (),
    'export': (),
    'gallery': (),
    'infer': (),
    'make_toyparts': ('--train', '2', '--val', '1', '--test', '1'),
    'print_config': (),
    'reference_points': (),
    'test': ('--cfg-options', 'test_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
             'val_dataloader.persistent_workers=False'),
    'train': ('--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.num_workers=0',
              'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
              'val_dataloader.persistent_workers=False'),
}
# Exit codes that are not failures.
EXIT_CODES = {'dataset_doctor': (0, 1)}
CHECKED_TOOLS = {
    'benchmark': 'minutes, and the published code',
    'benchmark_index': 'minutes',
    'benchmark_loader': 'loads the number of batches in the command, of a dataset of that size',
    'convert_clip': "a CLIP checkpoint of a published size, hundreds of MiB; tests/models/weights makes small ones",
    'convert_cris': "a CRIS checkpoint of a published size, hundreds of MiB; tests/models/weights makes small ones",
    'convert_dataset': "the downloads' own files; tests/datasets makes small ones",
    'merge_shards': 'the shares of several processes; tests/apis/batch makes them',
    'publish_model': 'its own checkpoint; tests/apis/export makes small ones',
    'join_levels': "files that convert_dataset wrote; tests/datasets makes small ones",
}

# Python programs called with -m.
CHECKED_MODULES = {
    'mmpartref.demo': 'serves a page until it is stopped',
    'mmpartref.labelling': 'serves Label Studio until it is stopped',
    'pytest': 'the tests themselves',
    'torch.distributed.run': 'several processes; what it starts is checked',
    'venv': 'makes an environment',
}

# Other programs.
CHECKED_PROGRAMS = {
    'git': 'needs a network',
    'make': 'makes environments; that the target exists is checked by a dry run',
    'mim': 'starts the tools in separate processes; the commands that it starts are checked',
    'pip': 'installs',
    'pre-commit': 'writes a hook into the checkout',
    'torchrun': 'several processes; what it starts is checked',
}
# Of the shell: run as they are.
NATIVE_PROGRAMS = ('bash', 'cat', 'cp', 'dirname', 'head', 'ls', 'mkdir', 'seq', 'sort', 'tail')

# Packages that a page installs and setup.cfg does not name.
OTHER_PACKAGES = {
    'mmpartref': 'this one',
    'ninja': 'compiles mmcv faster',
    'packaging': 'needed to build mmcv',
    'pre-commit': 'for contributors',
}
# Variables that other programs read. Those of this project have to occur in its sources.
OTHER_VARIABLES = {
    'CFLAGS': 'the compiler, for mmcv',
    'CUDA_VISIBLE_DEVICES': 'CUDA',
    'MAX_JOBS': 'torch, when mmcv is built',
    'OMP_NUM_THREADS': 'OpenMP',
    'PIP_EXTRA_INDEX_URL': 'pip',
    'PIP_FIND_LINKS': 'pip',
}
# Annotation files that the tests do not have: their configs are read, their datasets are not built. ToyParts is used as
# PartImageNet below data/ and as the files of add_data; tests/test_recipes.py trains on drawn data for the others.
ABSENT_FILES = ('/data/PartImageNet', 'data/coco/', 'data/refcoco', 'data/spin/', 'data/my_parts/')
# Encoders that are not built; everything else in their configs is checked.
NOT_BUILT = {
    'TimmBackbone': 'timm needs torchvision, which the test environment does not have',
    'OpenCLIPTextEncoder': 'open_clip needs torchvision, which the test environment does not have',
}
