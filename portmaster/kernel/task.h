// Who is connecting: read from the current task, in its own context, so that
// it is known even of a process that ends with the refusal.

#ifndef TASK_H
#define TASK_H

#include "guard.h"

// The fields that are read, found in the running kernel by its BTF.
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct qstr { const unsigned char *name; };
struct dentry { struct dentry *d_parent; struct qstr d_name; };
struct vfsmount { struct dentry *mnt_root; };
struct mount { struct mount *mnt_parent; struct dentry *mnt_mountpoint; struct vfsmount mnt; };
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct super_block { __u32 s_dev; };
struct inode { struct super_block *i_sb; unsigned long i_ino; };
struct file { struct path f_path; struct inode *f_inode; };
struct mm_struct { struct file *exe_file; unsigned long arg_start; unsigned long arg_end; };
struct task_struct {
	struct mm_struct *mm;
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	__u64 start_boottime;
	__u64 self_exec_id;
	int tgid;
	char comm[16];
};
#pragma clang attribute pop

static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

static __always_inline struct identity current_identity(void)
{
	struct task_struct *task = current_task();
	struct identity who = {
		.started = BPF_CORE_READ(task, group_leader, start_boottime),
		.tgid = bpf_get_current_pid_tgid() >> 32,
		.execs = (__u32)BPF_CORE_READ(task, self_exec_id),
	};
	return who;
}

static __always_inline bool same(const struct identity *a, const struct identity *b)
{
	return a->started == b->started && a->tgid == b->tgid;
}

// A kernel thread has no executable and is left as zero.
static __always_inline struct exe current_exe(void)
{
	struct exe exe = {};
	struct file *file = BPF_CORE_READ(current_task(), mm, exe_file);
	if (file) {
		exe.ino = BPF_CORE_READ(file, f_inode, i_ino);
		exe.dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	}
	return exe;
}

// A walk is on its way from a file to the root.
struct walk {
	struct process *p;
	struct dentry *dentry;
	struct vfsmount *vfs;
	__u32 used;
	__u32 done;
};

enum { GO_ON = 0, STOP = 1 };

static long step(__u32 i, struct walk *w)
{
	// Out of w first: BPF_CORE_READ takes each -> for one of the kernel's.
	struct dentry *dentry = w->dentry;
	struct vfsmount *vfs = w->vfs;
	__u32 used = w->used;

	if (dentry == BPF_CORE_READ(vfs, mnt_root)) {
		struct mount *m = (void *)vfs - bpf_core_field_offset(struct mount, mnt);
		struct mount *up = BPF_CORE_READ(m, mnt_parent);
		w->done = up == m;
		w->dentry = BPF_CORE_READ(m, mnt_mountpoint);
		w->vfs = (void *)up + bpf_core_field_offset(struct mount, mnt);
		return w->done ? STOP : GO_ON;
	}
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
	w->done = parent == dentry;
	if (w->done || used > PATH_SIZE - NAME_SIZE)
		return STOP;
	long n = bpf_probe_read_kernel_str(w->p->path + used, NAME_SIZE, BPF_CORE_READ(dentry, d_name.name));
	if (n <= 0)
		return STOP;
	w->used = used + n;
	w->dentry = parent;
	return GO_ON;
}

// bpf_d_path is not for these programs, so the path is walked from the file
// to the root of its mount, and on from where that is mounted.
static __always_inline void note_path(struct process *p, struct file *file)
{
	struct walk w = {
		.p = p,
		.dentry = BPF_CORE_READ(file, f_path.dentry),
		.vfs = BPF_CORE_READ(file, f_path.mnt),
	};
	bpf_loop(64, step, &w, 0);
	p->path_cut = !w.done;
	p->path_len = w.used;
}

static __always_inline void note_args(struct process *p, struct mm_struct *mm)
{
	__u64 start = BPF_CORE_READ(mm, arg_start), end = BPF_CORE_READ(mm, arg_end);
	__u64 length = end - start;

	if (start >= end)
		return;
	if (length > ARGS_SIZE)
		length = ARGS_SIZE;
	if (bpf_probe_read_user(p->args, length, (void *)start) == 0)
		p->args_len = length;
}

static const struct process unknown = {};

// note_process fills the entry where it lies: a buffer per processor could be
// overwritten by whoever preempts this task, and the stack is too small.
__noinline int note_process(struct identity *who)
{
	struct task_struct *task = current_task();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);

	if (!who)
		return 0;
	if (bpf_map_lookup_elem(&guard_processes, who))
		return 0;
	if (bpf_map_update_elem(&guard_processes, who, &unknown, BPF_NOEXIST))
		return 0;
	struct process *p = bpf_map_lookup_elem(&guard_processes, who);
	if (!p)
		return 0;
	p->exe = current_exe();
	p->cgroup = bpf_get_current_cgroup_id();
	p->ppid = BPF_CORE_READ(task, group_leader, real_parent, tgid);
	p->uid = (__u32)bpf_get_current_uid_gid();
	BPF_CORE_READ_STR_INTO(&p->comm, task, group_leader, comm);
	if (mm) {
		struct file *file = BPF_CORE_READ(mm, exe_file);
		if (file)
			note_path(p, file);
		note_args(p, mm);
	}
	p->ready = 1;
	return 0;
}

#endif
