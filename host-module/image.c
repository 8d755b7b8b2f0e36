// SPDX-License-Identifier: GPL-2.0
/*
 * A partition's image as the loader hands it over: checked, copied into kernel
 * memory, kept for later boots. Nothing here knows what kernel it is.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "outrigger.h"

#define IMAGE_BASE 0xffffffff80000000ull /* top 2 GiB */
#define CMDLINE_BYTES 4096u

void otr_image_free(struct otr_image *img)
{
	u32 i;

	if (!img)
		return;
	for (i = 0; i < img->segment_count; i++)
		kvfree((void *)(uintptr_t)img->segment[i].data);
	kfree(img->cmdline);
	kfree(img);
}

static int check_segment(const struct otr_image_segment *s, u32 i, struct otr_note *note)
{
	if (s->reserved || (s->flags & ~(OTR_SEG_WRITE | OTR_SEG_EXEC)))
		return otr_refuse(note, -EINVAL, "segment %u has unknown flags", i);
	if ((s->flags & OTR_SEG_WRITE) && (s->flags & OTR_SEG_EXEC))
		return otr_refuse(note, -ENOEXEC, "segment %u is writable and executable", i);
	if (s->virt < IMAGE_BASE || !IS_ALIGNED(s->virt, PAGE_SIZE))
		return otr_refuse(note, -ENOEXEC, "segment %u at %#llx is not page aligned in the top 2 GiB",
				  i, s->virt);
	if (!s->mem_bytes || s->mem_bytes > OTR_IMAGE_BYTES || s->file_bytes > s->mem_bytes)
		return otr_refuse(note, -ENOEXEC, "segment %u has %llu bytes of file in %llu bytes of memory",
				  i, s->file_bytes, s->mem_bytes);
	if (s->virt - 1 + PAGE_ALIGN(s->mem_bytes) < s->virt - 1)
		return otr_refuse(note, -ENOEXEC, "segment %u wraps around", i);
	return 0;
}

static int check_overlap(const struct otr_image *img, struct otr_note *note)
{
	u32 i, j;

	for (i = 0; i < img->segment_count; i++) {
		for (j = 0; j < i; j++) {
			const struct otr_image_segment *a = &img->segment[i], *b = &img->segment[j];
			u64 a_last = a->virt - 1 + PAGE_ALIGN(a->mem_bytes);
			u64 b_last = b->virt - 1 + PAGE_ALIGN(b->mem_bytes);

			if (a->virt <= b_last && b->virt <= a_last)
				return otr_refuse(note, -ENOEXEC, "segments %u and %u overlap", j, i);
		}
	}
	return 0;
}

/* Bounds of the whole image, and whether the entry can be executed. */
static int check_whole(struct otr_image *img, struct otr_note *note)
{
	u64 low = U64_MAX, last = 0;
	bool entry = false;
	u32 i;

	for (i = 0; i < img->segment_count; i++) {
		const struct otr_image_segment *s = &img->segment[i];

		low = min(low, s->virt);
		last = max(last, s->virt - 1 + PAGE_ALIGN(s->mem_bytes));
		if ((s->flags & OTR_SEG_EXEC) && img->entry >= s->virt &&
		    img->entry - s->virt < s->file_bytes)
			entry = true;
	}
	if (!entry)
		return otr_refuse(note, -ENOEXEC, "entry %#llx is in no executable segment", img->entry);
	img->virt = low;
	img->bytes = last - low + 1;
	if (img->bytes > OTR_IMAGE_BYTES)
		return otr_refuse(note, -EFBIG, "the image spans %llu MiB, more than %llu",
				  img->bytes >> 20, OTR_IMAGE_BYTES >> 20);
	return 0;
}

static int copy_segments(struct otr_image *img, struct otr_note *note)
{
	u64 user[OTR_IMAGE_SEGMENTS];
	u32 i;

	for (i = 0; i < img->segment_count; i++) {
		user[i] = img->segment[i].data;
		img->segment[i].data = 0;	/* from here on kernel pointers */
	}
	for (i = 0; i < img->segment_count; i++) {
		struct otr_image_segment *s = &img->segment[i];
		void *data;

		if (!s->file_bytes)
			continue;
		data = kvmalloc(s->file_bytes, GFP_KERNEL);
		if (!data)
			return -ENOMEM;
		s->data = (uintptr_t)data;
		if (copy_from_user(data, u64_to_user_ptr(user[i]), s->file_bytes))
			return otr_refuse(note, -EFAULT, "segment %u cannot be read", i);
	}
	return 0;
}

static int copy_cmdline(struct otr_image *img, const struct otr_ioc_load *req,
			struct otr_note *note)
{
	if (!req->cmdline || !req->cmdline_bytes) {
		img->cmdline = kzalloc(1, GFP_KERNEL);
		img->cmdline_bytes = 1;
		return img->cmdline ? 0 : -ENOMEM;
	}
	if (req->cmdline_bytes > CMDLINE_BYTES)
		return otr_refuse(note, -E2BIG, "the command line is longer than %u bytes", CMDLINE_BYTES);
	img->cmdline = memdup_user(u64_to_user_ptr(req->cmdline), req->cmdline_bytes);
	if (IS_ERR(img->cmdline)) {
		img->cmdline = NULL;
		return otr_refuse(note, -EFAULT, "the command line cannot be read");
	}
	if (strnlen(img->cmdline, req->cmdline_bytes) != req->cmdline_bytes - 1)
		return otr_refuse(note, -EINVAL, "the command line does not end where it says");
	img->cmdline_bytes = req->cmdline_bytes;
	return 0;
}

static int copy_table(struct otr_image *img, const struct otr_ioc_load *req,
		      struct otr_note *note)
{
	u32 i;
	int ret;

	if (copy_from_user(img->segment, u64_to_user_ptr(req->segments),
			   req->segment_count * sizeof(img->segment[0])))
		return otr_refuse(note, -EFAULT, "the segment table cannot be read");
	for (i = 0; i < req->segment_count; i++) {
		ret = check_segment(&img->segment[i], i, note);
		if (ret)
			return ret;
	}
	img->segment_count = req->segment_count;
	ret = check_overlap(img, note);
	if (!ret)
		ret = check_whole(img, note);
	if (ret)
		img->segment_count = 0;	/* data still points to user memory */
	return ret;
}

/* op_lock held. Replaces the image of a partition that does not run. */
int otr_image_load(struct otr_partition *p, const struct otr_ioc_load *req,
		   struct otr_note *note)
{
	u32 from = OTR_ANY & ~OTR_LIVE;
	struct otr_image *img;
	int ret;

	if (OTR_IN(otr_state(p)) & OTR_LIVE)
		return otr_refuse(note, -EBUSY, "%s is %s; shut it down first", p->name,
				  otr_state_name(otr_state(p)));
	if (req->abi_version != OTR_ABI_VERSION)
		return otr_refuse(note, -EPROTO, "the image was built for ABI version %u, this module speaks %u",
				  req->abi_version, OTR_ABI_VERSION);
	if (!req->segment_count || req->segment_count > OTR_IMAGE_SEGMENTS)
		return otr_refuse(note, -ENOEXEC, "%u segments; an image has 1 to %u",
				  req->segment_count, OTR_IMAGE_SEGMENTS);
	if (req->log_level > 7)
		return otr_refuse(note, -EINVAL, "log level %u; 0 to 7 exist", req->log_level);
	img = kzalloc(sizeof(*img), GFP_KERNEL);
	if (!img)
		return -ENOMEM;
	img->entry = req->entry;
	img->log_level = req->log_level;
	ret = copy_table(img, req, note);
	if (!ret)
		ret = copy_segments(img, note);
	if (!ret)
		ret = copy_cmdline(img, req, note);
	if (!ret && !otr_state_move(p, from, OTR_PART_LOADED, NULL))
		ret = -EBUSY;
	if (ret) {
		otr_image_free(img);
		return ret;
	}
	otr_image_free(p->image);
	p->image = img;
	return 0;
}
