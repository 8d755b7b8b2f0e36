// SPDX-License-Identifier: GPL-2.0
#include "outrigger.h"
int otr_ctx_init(void) { return 0; }
void otr_ctx_fini(void) { }
int otr_ctx_open(struct file *file) { return 0; }
void otr_ctx_flush(struct file *file) { }
void otr_ctx_close(struct file *file) { }
int otr_ctx_mmap(struct file *file, struct vm_area_struct *vma) { return -ENOSYS; }
int otr_ctx_attach(struct file *file, struct otr_ioc_attach *req, struct otr_note *note) { return -ENOSYS; }
int otr_ctx_twin(struct file *file, struct otr_ioc_twin *req, struct otr_note *note) { return -ENOSYS; }
int otr_ctx_start(struct file *file, struct otr_note *note) { return -ENOSYS; }
int otr_ctx_wait(struct file *file, struct otr_ioc_wait *req, struct otr_note *note) { return -ENOSYS; }
int otr_ctx_kick(struct file *file, u32 slot, struct otr_note *note) { return -ENOSYS; }
int otr_ctx_zap(struct file *file, struct otr_note *note) { return -ENOSYS; }
int otr_ctx_stop(struct file *file, bool stop, struct otr_note *note) { return -ENOSYS; }
void otr_ctx_exit(struct otr_partition *p, u32 id, u32 status) { }
void otr_ctx_zap_hint(struct otr_partition *p, u32 id) { }
void otr_ctx_wakes(struct otr_partition *p) { }
void otr_ctx_crashed(struct otr_partition *p) { }
void otr_ctx_poll(struct otr_partition *p) { }
int otr_ctx_setup(struct otr_partition *p) { return 0; }
int otr_ctx_teardown(struct otr_partition *p, u32 timeout_ms) { return 0; }
int otr_ctx_unmap_range(struct otr_partition *p, u64 phys, u64 bytes) { return 0; }
