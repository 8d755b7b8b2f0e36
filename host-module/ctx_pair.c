// SPDX-License-Identifier: GPL-2.0
/*
 * Pairs of sockets that the co-kernel serves itself. Linux's pair behind one stays
 * empty until a program gives it to Linux, and that program may have only one of the
 * ends, through which nobody can put anything in; the other may be open nowhere any
 * more. So the module keeps both files of such a pair for as long as it is the
 * co-kernel's, and puts in what the co-kernel had, for whoever has one end.
 *
 * Who had both ends could have done as much with them, and a program that changes its
 * rights, or hands an end to somebody else, gives the pair to Linux before.
 *
 * A pair of which nobody but the module has an end is of no use: such are dropped
 * when more are kept, so that their number stays below twice that of the others; and
 * all when the last program of the partition is gone.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <linux/uaccess.h>
#include <net/af_unix.h>
#include <net/sock.h>

#include "ctx.h"

/* So many are kept before any is looked for that is of no use. */
#define SWEEP_LEAST 64u

struct otr_pair {
	struct file *file[2];        /* with a reference each */
	kuid_t uid;                  /* of whoever had it kept */
};

static unsigned long key_of(struct file *file)
{
	return (unsigned long)file / sizeof(long);
}

static struct sock *sock_of(struct file *file)
{
	struct socket *s = sock_from_file(file);

	return s ? s->sk : NULL;
}

static bool is_pair(struct file *a, struct file *b)
{
	struct sock *x = sock_of(a), *y = sock_of(b);

	return x && y && x != y && x->sk_family == AF_UNIX && y->sk_family == AF_UNIX &&
	       x->sk_type == SOCK_STREAM && READ_ONCE(unix_peer(x)) == y && READ_ONCE(unix_peer(y)) == x;
}

/* ---- The table; pair_lock is held ---- */

static void drop(struct otr_partition *p, struct otr_pair *pair)
{
	int i;

	for (i = 0; i < 2; i++) {
		xa_erase(&p->pairs, key_of(pair->file[i]));
		fput(pair->file[i]);
	}
	p->pair_count--;
	kfree(pair);
}

/* Nobody can get at a file of which only we have a reference. */
static bool is_ours_alone(struct otr_pair *pair)
{
	return file_count(pair->file[0]) == 1 && file_count(pair->file[1]) == 1;
}

static void sweep(struct otr_partition *p, bool all)
{
	struct otr_pair *pair;
	unsigned long key;

	xa_for_each(&p->pairs, key, pair)
		if (key == key_of(pair->file[0]) && (all || is_ours_alone(pair)))
			drop(p, pair);
	p->pair_sweep = max(2 * p->pair_count, SWEEP_LEAST);
}

static int insert(struct otr_partition *p, struct otr_pair *pair)
{
	int ret = xa_insert(&p->pairs, key_of(pair->file[0]), pair, GFP_KERNEL);

	if (ret)
		return ret;
	ret = xa_insert(&p->pairs, key_of(pair->file[1]), pair, GFP_KERNEL);
	if (ret) {
		xa_erase(&p->pairs, key_of(pair->file[0]));
		return ret;
	}
	get_file(pair->file[0]);
	get_file(pair->file[1]);
	p->pair_count++;
	return 0;
}

/* ---- What a program asks ---- */

/* -EBUSY: it is kept already. */
static int keep(struct otr_partition *p, struct file *file, struct otr_ioc_pair *req)
{
	struct file *peer = fget(req->peer);
	struct otr_pair *pair;
	int ret = -ENOMEM;

	if (!peer)
		return -EBADF;
	if (!is_pair(file, peer)) {
		fput(peer);
		return -EINVAL;
	}
	pair = kzalloc(sizeof(*pair), GFP_KERNEL_ACCOUNT);
	if (pair) {
		*pair = (struct otr_pair){ .file = { file, peer }, .uid = current_uid() };
		mutex_lock(&p->pair_lock);
		if (p->pair_count >= p->pair_sweep)
			sweep(p, false);
		ret = insert(p, pair);
		mutex_unlock(&p->pair_lock);
	}
	if (ret)
		kfree(pair);
	fput(peer);
	return ret;
}

/* Sends what of the bytes is not there. The lock keeps two who do this apart: each sees
 * what the other has sent. */
static int send(struct otr_pair *pair, struct otr_ioc_pair *req, char *data)
{
	struct socket *from = sock_from_file(pair->file[req->side]);
	struct sock *to = sock_of(pair->file[!req->side]);

	for (;;) {
		struct msghdr message = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
		long there = unix_inq_len(to), sent;
		struct kvec v;

		if (there < 0)
			return there;
		if (there < req->there || there > (u64)req->there + req->bytes)
			return -EIO;
		v.iov_len = req->there + req->bytes - there;
		if (!v.iov_len)
			return 0;
		v.iov_base = data + (there - req->there);
		sent = kernel_sendmsg(from, &message, &v, 1, v.iov_len);
		if (sent <= 0)
			return sent ?: -EIO;
	}
}

static int on_kept(struct otr_partition *p, struct file *file, struct otr_ioc_pair *req, char *data)
{
	struct otr_pair *pair;
	int ret = 0;

	mutex_lock(&p->pair_lock);
	pair = xa_load(&p->pairs, key_of(file));
	if (pair && !uid_eq(pair->uid, current_uid()) && !uid_eq(GLOBAL_ROOT_UID, current_uid())) {
		ret = -EPERM;
	} else if (req->op == OTR_PAIR_SEND) {
		ret = pair ? send(pair, req, data) : -ENOENT;
	} else if (pair) {
		if (req->shut)
			kernel_sock_shutdown(sock_from_file(pair->file[0]), req->shut - 1);
		drop(p, pair);
	}
	mutex_unlock(&p->pair_lock);
	return ret;
}

static bool is_valid(const struct otr_ioc_pair *r)
{
	bool sends = r->op == OTR_PAIR_SEND;

	return r->op <= OTR_PAIR_LET_GO && r->side <= 1 && r->shut <= 3 && !r->reserved &&
	       (r->op == OTR_PAIR_KEEP || !r->peer) && (r->op == OTR_PAIR_LET_GO || !r->shut) &&
	       (sends ? r->bytes && r->bytes <= OTR_SOCKET_MESSAGE && r->there <= INT_MAX :
			!r->side && !r->bytes && !r->there && !r->data);
}

int otr_ctx_pair(struct file *filp, struct otr_ioc_pair *req, struct otr_note *note)
{
	struct otr_context *c;
	struct file *file;
	char *data = NULL;
	int ret = 0;

	if (!is_valid(req))
		return -EINVAL;
	file = fget(req->fd);
	if (!file)
		return -EBADF;
	if (req->bytes) {
		/* Before any lock of ours: it may lie in memory that we map. */
		data = kvmalloc(req->bytes, GFP_KERNEL);
		if (!data)
			ret = -ENOMEM;
		else if (copy_from_user(data, u64_to_user_ptr(req->data), req->bytes))
			ret = -EFAULT;
		if (ret)
			goto free;
	}
	c = otr_ctx_enter(filp, note);
	ret = PTR_ERR_OR_ZERO(c);
	if (ret)
		goto free;
	ret = req->op == OTR_PAIR_KEEP ? keep(c->p, file, req) : on_kept(c->p, file, req, data);
	otr_ctx_leave(c);
free:
	kvfree(data);
	fput(file);
	return ret;
}

/* ---- Partitions ---- */

void otr_pairs_init(struct otr_partition *p)
{
	mutex_init(&p->pair_lock);
	xa_init(&p->pairs);
	p->pair_sweep = SWEEP_LEAST;
}

/* A program is gone. Who has a pair kept is counted before. */
void otr_pairs_end(struct otr_partition *p)
{
	mutex_lock(&p->pair_lock);
	if (!atomic_read(&p->ctx_count))
		sweep(p, true);
	mutex_unlock(&p->pair_lock);
}
