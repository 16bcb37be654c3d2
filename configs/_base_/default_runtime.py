default_scope = 'mmpartref'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='OneFileLoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=2, save_best='refer/mIoU', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    non_finite=dict(type='NonFiniteLossHook'),
    resumable_state=dict(type='ResumableStateHook'),
    safe_checkpoint=dict(type='SafeCheckpointHook'),
    preemption=dict(type='PreemptionHook'),
    skipped_images=dict(type='SkippedImagesHook'),
    truncated_expressions=dict(type='TruncatedExpressionsHook'),
    worker_errors=dict(type='WorkerErrorHook'),
    # Here and not in custom_hooks, of which a child config replaces the whole list.
    dataset_epoch=dict(type='DatasetEpochHook'),
    strict_load=dict(type='StrictLoadHook'),
    visualization=dict(type='ReferringVisualizationHook'))

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
sync_bn = 'torch'

visualizer = dict(
    type='PartReferVisualizer', vis_backends=[dict(type='LocalVisBackend'),
                                              dict(type='TensorboardVisBackend')])
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
