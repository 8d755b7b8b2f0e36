/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's own half of the address space: image, direct map, stacks with
 * guard pages, device registers, frame descriptors. */
#ifndef COKERNEL_MM_KVM_H
#define COKERNEL_MM_KVM_H

#include "cokernel/arch/x86_64/paging.h"
#include "cokernel/lib/types.h"

#define KSTACK_BYTES (16ul << 10)

extern paddr_t kernel_root;

/* Builds the kernel's page table out of pages from [free, end) of the boot
 * range and switches to it; *free moves up. */
void kvm_init(paddr_t *free, paddr_t end);
/* Nobody can write to the kernel's code and constants from here on. One CPU is up. */
void kvm_seal(void);
/* Direct map of a range that the host added; table pages from the allocator. */
int kvm_direct_add(paddr_t start, paddr_t end);
void kvm_direct_remove(paddr_t start, paddr_t end);
/* Maps [va, +bytes) to pa before the allocator knows the range: table pages
 * come from `spare` upwards; *pages (in: of the mapping itself) grows by them. */
int kvm_map_from(uint64_t va, paddr_t pa, uint64_t bytes, paddr_t spare, uint64_t *pages);
/* Undoes it, table pages in [start, end) included. */
void kvm_unmap_from(uint64_t va, uint64_t bytes, paddr_t start, paddr_t end);
/* Uncached mapping of device registers; NULL without memory. */
void *kvm_map_mmio(paddr_t at, uint64_t bytes);
/* A kernel stack between guard pages: its top, NULL without memory. */
void *kvm_stack_alloc(void);
void kvm_stack_free(void *top);
/* Gives stacks back that many threads left free; of a thread, no locks held. */
void kvm_stacks_trim(void);
/* True if va lies in the guard below some stack. */
bool kvm_in_stack_guard(uint64_t va);
/* A root table whose upper half is the kernel's; registered until put. */
paddr_t kvm_root_alloc(void);
void kvm_root_free(paddr_t root);

#endif
