/* A plugin of qemu's user emulator: counts the instructions that the emulated program executes, all threads together, and
 * writes the number to a file.
 *
 *   qemu-aarch64 -plugin count.so,out=FILE PROGRAM [ARG...]
 *
 * The few declarations are those of the plugin interface, version 1 (qemu's documentation, "TCG Plugins"). */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t id_t_; /* qemu_plugin_id_t */
struct qemu_plugin_tb;
typedef void (*translated)(id_t_ id, struct qemu_plugin_tb *block);
typedef void (*executed)(unsigned vcpu, void *data);
typedef void (*ended)(id_t_ id, void *data);
enum { NO_REGISTERS = 0 }; /* QEMU_PLUGIN_CB_NO_REGS */

void qemu_plugin_register_vcpu_tb_trans_cb(id_t_ id, translated call);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, executed call, int flags, void *data);
void qemu_plugin_register_atexit_cb(id_t_ id, ended call, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t count;
static char out[4096];

static void run(unsigned vcpu, void *instructions) {
    (void)vcpu;
    __atomic_fetch_add(&count, (uintptr_t)instructions, __ATOMIC_RELAXED);
}

static void translate(id_t_ id, struct qemu_plugin_tb *block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, run, NO_REGISTERS, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void end(id_t_ id, void *data) {
    FILE *file = fopen(out, "w");
    (void)id, (void)data;
    if (!file) return;
    fprintf(file, "%" PRIu64 "\n", count);
    fclose(file);
}

__attribute__((visibility("default"))) int qemu_plugin_install(id_t_ id, const void *info, int words, char **word) {
    (void)info;
    if (words != 1 || strncmp(word[0], "out=", 4) != 0 || strlen(word[0] + 4) >= sizeof out) return -1;
    strcpy(out, word[0] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, end, NULL);
    return 0;
}
