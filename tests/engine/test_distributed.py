import torch.distributed as torch_dist

from mmpartref.engine.distributed import join_processes


def test_a_start_after_a_restart_reads_no_keys_of_the_one_before(monkeypatch):
    """One store for both starts, as with torchrun."""
    server = torch_dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    for name, value in {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(server.port), 'RANK': '0', 'WORLD_SIZE': '1',
                        'LOCAL_RANK': '0', 'TORCHELASTIC_USE_AGENT_STORE': 'True'}.items():
        monkeypatch.setenv(name, value)
    for count in ('0', '1'):
        monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', count)
        join_processes('gloo')
        join_processes('gloo')
        try:
            store = torch_dist.distributed_c10d._get_default_store()
            assert not store.check(['address'])
            store.set('address', count)
        finally:
            torch_dist.destroy_process_group()
