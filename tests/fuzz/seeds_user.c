/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seeds of what comes from the user and from authors of plugins: ELF files, command lines, options of plugins.
 */
#include "seed.h"

#include "base/arith.h"

#include <nfqe/plugin.h>

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden"))); /* what this machine's files look like */

/* ---- ELF files ------------------------------------------------------------------------------------------ */

/* A shared object with one segment and the sections: none, the plugin's, the names. */
struct tiny {
    ElfW(Ehdr) header;
    ElfW(Phdr) segment;
    struct nfqe_plugin plugin;
    char names[32];
    ElfW(Shdr) sections[3];
};

static void tiny_init(struct tiny *tiny)
{
    static const char names[] = "\0" NFQE_SECTION "\0.shstrtab";

    *tiny = (struct tiny){
        .header = {.e_type = ET_DYN,
                   .e_machine = __ehdr_start.e_machine,
                   .e_version = EV_CURRENT,
                   .e_phoff = offsetof(struct tiny, segment),
                   .e_shoff = offsetof(struct tiny, sections),
                   .e_ehsize = sizeof(ElfW(Ehdr)),
                   .e_phentsize = sizeof(ElfW(Phdr)),
                   .e_phnum = 1,
                   .e_shentsize = sizeof(ElfW(Shdr)),
                   .e_shnum = 3,
                   .e_shstrndx = 2},
        .segment = {.p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = sizeof(*tiny), .p_memsz = sizeof(*tiny)},
        .plugin = {NFQE_HEAD_.id = "tiny", .version = "1.0.0", .needs = NFQE_NEED_HEADERS},
        .sections = {{0},
                     {.sh_name = 1,
                      .sh_type = SHT_PROGBITS,
                      .sh_flags = SHF_ALLOC,
                      .sh_offset = offsetof(struct tiny, plugin),
                      .sh_size = sizeof(struct nfqe_plugin)},
                     {.sh_name = sizeof(NFQE_SECTION) + 1,
                      .sh_type = SHT_STRTAB,
                      .sh_offset = offsetof(struct tiny, names),
                      .sh_size = sizeof(names)}},
    };
    memcpy(tiny->header.e_ident, __ehdr_start.e_ident, EI_NIDENT);
    memcpy(tiny->names, names, sizeof(names));
}

static void save_tiny(const char *name, const struct tiny *tiny, size_t len)
{
    struct seed seed = {.len = 0};

    seed_put(&seed, tiny, len);
    seed_save("elf", name, &seed);
}

void make_elf_files(void)
{
    const struct seed nothing = {.len = 0};
    struct seed text = {.len = 0};
    struct tiny tiny;

    seed_save("elf", "empty", &nothing);
    seed_put_text(&text, "no plugin\n");
    seed_save("elf", "text", &text);
    tiny_init(&tiny);
    save_tiny("whole", &tiny, sizeof(tiny));
    save_tiny("truncated_header", &tiny, 40);
    save_tiny("truncated_sections", &tiny, sizeof(tiny) - 20);
#define CHANGED(name, field, value) (tiny_init(&tiny), tiny.field = (value), save_tiny(name, &tiny, sizeof(tiny)))
    CHANGED("other_class", header.e_ident[EI_CLASS], ELFCLASS32);
    CHANGED("other_byte_order", header.e_ident[EI_DATA], ELFDATA2MSB);
    CHANGED("other_machine", header.e_machine, EM_PPC);
    CHANGED("program", header.e_type, ET_EXEC);
    CHANGED("segment_table_outside", header.e_phoff, sizeof(tiny) - 8);
    CHANGED("section_table_outside", header.e_shoff, UINT64_MAX - 8);
    CHANGED("segment_outside", segment.p_filesz, sizeof(tiny) + 1);
    CHANGED("no_load_segment", segment.p_type, PT_NOTE);
    CHANGED("no_names", header.e_shstrndx, 7);
    CHANGED("names_outside", sections[2].sh_offset, sizeof(tiny) - 4);
    CHANGED("name_outside", sections[1].sh_name, 1000);
    CHANGED("no_section", sections[1].sh_type, SHT_NOTE);
    CHANGED("section_outside", sections[1].sh_size, sizeof(tiny));
    CHANGED("short_section", sections[1].sh_size, NFQE_HEAD_SIZE - 1);
    CHANGED("unaligned_section", sections[1].sh_offset, offsetof(struct tiny, plugin) + 1);
    CHANGED("abi_0", plugin.abi, NFQE_ABI(0, 9));
    CHANGED("abi_1", plugin.abi, NFQE_ABI(1, 1));
    CHANGED("abi_min", plugin.abi_min, NFQE_ABI_VERSION + 1);
    CHANGED("size_short", plugin.size, 150);
    CHANGED("size_long", plugin.size, sizeof(struct nfqe_plugin) + 8);
    CHANGED("id_empty", plugin.id[0], '\0');
    CHANGED("id_wrong", plugin.id[2], '/');
    CHANGED("version_empty", plugin.version[0], '\0');
    CHANGED("version_wrong", plugin.version[1], ' ');
    CHANGED("header_bytes", plugin.header_bytes, 65531);
    CHANGED("header_bytes_too_many", plugin.header_bytes, 65532);
    CHANGED("needs", plugin.needs, NFQE_NEED_MODIFY | NFQE_NEED_HOLD);
    CHANGED("needs_none", plugin.needs, 0);
    CHANGED("needs_metadata_too", plugin.needs, NFQE_NEED_METADATA | NFQE_NEED_HEADERS);
    CHANGED("needs_unknown", plugin.needs, ~NFQE_NEED_METADATA);
    CHANGED("uses", plugin.uses, UINT64_MAX);
    CHANGED("flow_data", plugin.flow_data_size, 8);
#undef CHANGED
}

/* ---- options ---------------------------------------------------------------------------------------------- */

#define ARGUMENTS_MAX 12

static const char *const command_lines[][ARGUMENTS_MAX] = {
    {"--help"},
    {"--version"},
    {"--queue", "1"},
    {"--plugin", "./a.so"},
    {"--plugin", "./a.so", "--queue", "0-3", "--queue=65535"},
    {"--plugin=./a.so,one=1,two=b,,c", "--plugin", "a,,b.so", "--queue=0", "--default-verdict", "drop", "--on-crash",
     "accept", "--on-stop=accept", "--gso", "off", "--fail-open"},
    {"--plugin=,x=1", "--queue=0"},
    {"--plugin=a", "--queue=0", "--conntrack", "--uid-gid", "--secctx", "--no-enobufs", "off"},
    {"--plugin=a", "--queue=0", "--max-len", "1048576", "--receive-buffer=64M", "--copy-range", "65531", "--cpu",
     "0,2-5,1023"},
    {"--plugin=a", "--queue=0", "--drain-timeout", "500ms", "--load-timeout=5s", "--handle-timeout", "60m"},
    {"--plugin=a", "--queue", "3", "--queue", "2-4"},
    {"--queue", "4-2"},
    {"--queue", "0-300"},
    {"--queue", "18446744073709551616"},
    {"--cpu", "0-1024"},
    {"--cpu", "0-1023,1"},
    {"--cpu", "1,"},
    {"--max-len", "0"},
    {"--receive-buffer", "18446744073709551615K"},
    {"--receive-buffer", "16k"},
    {"--drain-timeout", "61m"},
    {"--drain-timeout", "5"},
    {"--gso", "maybe"},
    {"--on-crash", "reject"},
    {"--fail-open=yes"},
    {"--unknown=1"},
    {"plugin.so"},
    {"--max-len"},
    {"--plugin=a", "--queue=0", "--flow-table", "16777216", "--flow-timeout=1440m", "--bypass-mark", "0x1/0xff"},
    {"--plugin=a", "--queue=0", "--flow-table=1", "--flow-timeout", "1s", "--bypass-mark=4294967295"},
    {"--print-rules", "--queue", "1-3"},
    {"--print-rules=nft", "--queue", "1", "--bypass-mark=1"},
    {"--print-rules=iptables", "--queue=1"},
    {"--print-rules=", "--queue=1"},
    {"--print-rules"},
    {"--flow-table", "0"},
    {"--flow-timeout", "999ms"},
    {"--bypass-mark", "0"},
    {"--bypass-mark", "0x3/0x1"},
    {"--bypass-mark", "1/"},
    {"--bypass-mark", "0x100000000"},
    {"--plugin=a", "--queue=0-3", "--workers=16", "--spares", "8", "--worker-uids=70000-70999", "--priority=realtime"},
    {"--plugin=a", "--queue=0", "--workers=2", "--cpu=0,0", "--worker-uids=off", "--priority", "normal"},
    {"--plugin=a", "--queue=0", "--workers=2", "--cpu=0"},
    {"--plugin=a", "--queue=0", "--worker-uids", "5000-5002"},
    {"--worker-uids=1000-70000"},
    {"--priority=", "normal"},
    {"--plugin=a", "--plugin=b", "--queue=0", "--crash-limit=1000/60m", "--on-crash-limit=skip", "--on-outage",
     "accept", "--outage-timeout=10ms"},
    {"--plugin=a", "--queue=0", "--crash-limit", "off", "--on-outage=stop"},
    {"--plugin=a", "--queue=0", "--crash-limit", "off", "--on-crash-limit=stop"},
    {"--plugin=a", "--queue=0", "--on-crash-limit=skip"},
    {"--plugin=a", "--queue=0", "--outage-retry=100ms"},
    {"--plugin=a", "--queue=0", "--outage-retry", "1s", "--on-outage", "stop"},
    {"--crash-limit", "1001/1m"},
    {"--crash-limit", "20/"},
    {"--plugin=a.so,x=1,@name=first,y=2", "--plugin=a.so,@name=second", "--queue=0"},
    {"--plugin=a.so,@name=A", "--queue=0"},
};

static void make_command_lines(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(command_lines); i++) {
        struct seed seed = {.len = 0};

        seed_put_u8(&seed, 0);
        for (unsigned k = 0; k < ARGUMENTS_MAX && command_lines[i][k] != NULL; k++) {
            seed_put_text(&seed, command_lines[i][k]);
        }
        seed_save_number("options", "command_line", i, &seed);
    }
}

/* The fields before the options of a declaration. */
static void begin_declaration(struct seed *seed, uint8_t choice, uint8_t count, uint8_t longer, uint8_t form)
{
    seed->len = 0;
    seed_put_u8(seed, 1);
    seed_put_u8(seed, choice);
    seed_put_u8(seed, count);
    seed_put_u8(seed, longer);
    seed_put_u8(seed, form);
}

/* The flags of fuzz_options.c. */
#define HAS_DEFAULT 0x20
#define HAS_HELP 0x40
#define OWN_PLACE 0x80

/* The option up to its name; with HAS_MIN or HAS_MAX, the limits 1 and 200. */
static void begin_option(struct seed *seed, uint8_t type, uint8_t flags, const char *name)
{
    seed_put_u8(seed, type);
    seed_put_u8(seed, flags);
    if ((flags & (NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX)) != 0) {
        seed_put_u64(seed, 1);
        seed_put_u64(seed, 200);
    }
    seed_put_text(seed, name);
}

static const char *const plugin_texts[] = {
    "file=a,,b,count=0x10,on=yes",
    "count=5,file=x",
    "file=",
    "count=201,file=x",
    "file=x,count=9223372036854775808",
    "file=x,file=y",
    "file=x,on=maybe",
    "other=1",
    "file",
    "=1",
    "",
    "file=x,",
    "count=1",
    "file=x,to=/a,to=/b,,c,dir=/d",
    "file=x,wait=5s,room=64k,host=10.0.0.1,net=10.0.0.0/8,net=fc00::/7,mode=fast,path=/p",
    "file=x,wait=201ms",
    "file=x,room=1g",
    "file=x,host=10.0.0",
    "file=x,net=10.0.0.1/8",
    "file=x,mode=slo",
    "file=x,later=1",
};

/* An option of each type, and one of a later engine. */
static void put_options(struct seed *seed, bool wrong_default)
{
    begin_option(seed, NFQE_OPTION_STRING, NFQE_OPTION_REQUIRED | NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX | HAS_HELP,
                 "file");
    seed_put_text(seed, "the file to read");
    begin_option(seed, NFQE_OPTION_INTEGER, NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX | HAS_DEFAULT, "count");
    seed_put_text(seed, "7");
    begin_option(seed, NFQE_OPTION_BOOLEAN, HAS_DEFAULT, "on");
    seed_put_text(seed, wrong_default ? "wrong" : "off");
    begin_option(seed, NFQE_OPTION_FILE, NFQE_OPTION_WRITABLE | NFQE_OPTION_REPEATABLE, "to");
    begin_option(seed, NFQE_OPTION_DURATION, NFQE_OPTION_HAS_MIN, "wait");
    begin_option(seed, NFQE_OPTION_SIZE, HAS_DEFAULT, "room");
    seed_put_text(seed, "1m");
    begin_option(seed, NFQE_OPTION_ADDRESS, 0, "host");
    begin_option(seed, NFQE_OPTION_PREFIX, NFQE_OPTION_REPEATABLE | HAS_DEFAULT, "net");
    seed_put_text(seed, "::/0");
    begin_option(seed, NFQE_OPTION_CHOICE, 0, "mode");
    seed_put_text(seed, "off|slow|fast");
    begin_option(seed, NFQE_OPTION_PATH, 0, "path");
    begin_option(seed, NFQE_OPTION_DIRECTORY, 0, "dir");
    begin_option(seed, NFQE_OPTION_DIRECTORY + 1, 0, "later");
}

static void make_plugin_options(void)
{
    struct seed seed;
    unsigned number = 0;

    for (; number < ARRAY_SIZE(plugin_texts); number++) {
        begin_declaration(&seed, 0, 12, (uint8_t)(number % 2), (uint8_t)(number % 2));
        put_options(&seed, number == 4);
        seed_put_text(&seed, plugin_texts[number]);
        seed_save_number("options", "plugin", number, &seed);
    }
    begin_declaration(&seed, 1, 0, 0, 0); /* no text */
    seed_save_number("options", "plugin", ++number, &seed);
    begin_declaration(&seed, 2, 0, 0, 0); /* no declaration */
    seed_put_text(&seed, "a=1");
    seed_save_number("options", "plugin", ++number, &seed);
    begin_declaration(&seed, 0, 129, 0, 0); /* an endless list */
    seed_save_number("options", "plugin", ++number, &seed);
    begin_declaration(&seed, 0, 1, 241, 0); /* a wrong size */
    seed_save_number("options", "plugin", ++number, &seed);
    begin_declaration(&seed, 1, 1, 0, 0); /* no type */
    begin_option(&seed, 0, 0, "a");
    seed_save_number("options", "plugin", ++number, &seed);
    for (unsigned wrong = 0; wrong < 2; wrong++) { /* wrong names */
        begin_declaration(&seed, 1, 2, 2, 1);
        for (unsigned i = 0; i < 2; i++) {
            begin_option(&seed, NFQE_OPTION_STRING, 0, wrong == 0 ? "same" : "a b");
        }
        seed_save_number("options", "plugin", ++number, &seed);
    }
    for (uint32_t offset = 0; offset < 16; offset += 4) { /* the same bytes, and a config struct that is too small */
        begin_declaration(&seed, 1, 2, 0, offset == 12 ? 2 : 0);
        begin_option(&seed, NFQE_OPTION_INTEGER, 0, "a");
        begin_option(&seed, NFQE_OPTION_INTEGER, OWN_PLACE, "b");
        seed_put_u32(&seed, offset);
        seed_put_u32(&seed, 8);
        seed_save_number("options", "plugin", ++number, &seed);
    }
}

void make_options(void)
{
    make_command_lines();
    make_plugin_options();
}
