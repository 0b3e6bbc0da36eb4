// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Source lines: those of modules are where the sources have them, tables by hand exercise what compilers write seldom,
// and a damaged table gives no line.

#include "kernel/module/source_line.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "kernel/module/elf.hpp"
#include "kernel/module/text_rules.hpp"
#include "tests/unit/line_table.hpp"
#include "tests/unit/module_files.hpp"

namespace helix::kernel {
namespace {

using test::LineTable;

std::string read(Bytes file, uint64_t address) {
    // An allocation of exactly the file's size, so that a sanitizer sees every step outside.
    const std::vector<uint8_t> copy(file.begin(), file.end());
    return std::string(source_line(Bytes(copy), address).text());
}
std::string read(const LineTable& table, uint64_t address) {
    return read(Bytes(table.file()), address);
}

/// "FILE:LINE" of the one line of a module's source that holds `text`.
std::string line_of(const std::string& path, const std::string& text) {
    const std::filesystem::path root = std::filesystem::path(HELIX_FUZZ_CORPUS) / "../../..";
    std::ifstream stream(root / path);
    size_t number = 0, found = 0;
    for (std::string line; std::getline(stream, line);) {
        ++number;
        if (line.find(text) == std::string::npos) continue;
        if (found != 0) throw std::runtime_error("twice in " + path + ": " + text);
        found = number;
    }
    if (found == 0) throw std::runtime_error("not in " + path + ": " + text);
    return std::filesystem::path(path).filename().string() + ":" + std::to_string(found);
}

TEST(SourceLine, OfModulesIsWhereTheirSourcesHaveIt) {
    const struct {
        const char* module;
        const char* symbol;
        const char* path;
        const char* text;
    } kFunctions[] = {
        {"crasher", "_ZN7Crasher4stopEv", "modules/test/crasher/crasher.cpp", "Result<void> stop() override"},
        {"crasher", "_ZN7Crasher12handle_eventERKN5helix5EventE", "modules/test/crasher/crasher.cpp",
         "EventResponse handle_event(const helix::Event& event) override"},
        {"crasher", "_ZN5helix4test6detail7recurseEm", "modules/test/crasher/ways_to_crash.hpp",
         "inline uint64_t recurse(uint64_t depth)"},
        {"helix-scheduler-fair", "_ZN5helix10scheduling10FairPolicy9pick_nextERNS_12SchedulerCpuE",
         "modules/scheduler/fair/fair.hpp", "pick_next("},
        {"crasher", "abort", "include/helix/runtime/module_runtime.cpp", "[[noreturn]] void abort() {"},
    };
    for (const auto& function : kFunctions) {
        SCOPED_TRACE(function.symbol);
        const test::ModuleFile file(function.module);
        const auto module = ElfModule::parse(file.bytes(), "x");
        ASSERT_TRUE(module.ok());
        uint64_t address = 0;
        for (const ElfSegment& segment : module.value().segments()) {
            for (uint64_t at = segment.address; at < segment.address + segment.file_size && segment.execute; ++at) {
                uint64_t offset = 1;
                const Text symbol = module.value().symbol_for(at, offset);
                if (offset == 0 && symbol == Text::from_c_string(function.symbol)) address = at;
            }
        }
        ASSERT_NE(address, 0u);
        EXPECT_EQ(read(file.bytes(), address), line_of(function.path, function.text));
    }
}

TEST(SourceLine, IsNotKnownOutsideOfCode) {
    const test::ModuleFile file("crasher");
    for (const uint64_t address : {uint64_t{0}, uint64_t{0x40}, uint64_t{1} << 20, UINT64_MAX})
        EXPECT_EQ(read(file.bytes(), address), "");
    EXPECT_EQ(read(Bytes(), 0), "");
    EXPECT_EQ(read(as_bytes("no ELF file"), 0), "");
}

TEST(SourceLine, IsThatOfTheRowBefore) {
    LineTable table;
    table.begin("a.cpp").place(0x1000).row(10).advance(4).row(11).advance(4).row(9).advance(4).end();
    for (const auto& [address, line] : std::vector<std::pair<uint64_t, std::string>>{{0xFFF, ""},
                                                                                     {0x1000, "a.cpp:10"},
                                                                                     {0x1003, "a.cpp:10"},
                                                                                     {0x1004, "a.cpp:11"},
                                                                                     {0x1008, "a.cpp:9"},
                                                                                     {0x100B, "a.cpp:9"},
                                                                                     {0x100C, ""}})
        EXPECT_EQ(read(table, address), line) << std::hex << address;
}

TEST(SourceLine, OfTwoRowsAtOnePlaceIsTheLast) {
    LineTable table;
    table.begin("a.cpp").place(0x1000).row(10).row(20).advance(4).end();
    EXPECT_EQ(read(table, 0x1000), "a.cpp:20");
}

TEST(SourceLine, EachWayToMoveOn) {
    LineTable table;
    // Line base -5, range 14, first special operation 13: 13 + 2 * 14 + (3 + 5) moves by 2 bytes and 3 lines.
    table.begin("a.cpp").place(0x1000).row(100).bytes({13 + 2 * 14 + 8});
    EXPECT_EQ(read(table.copy_ended(), 0x1002), "a.cpp:103");
    // Those three lines come on top from here on. As the last special operation: (255 - 13) / 14 bytes.
    table.bytes({8}).row(200);
    EXPECT_EQ(read(table.copy_ended(), 0x1002 + 17), "a.cpp:203");
    table.bytes({9, 0x34, 0x12}).row(300);
    EXPECT_EQ(read(table.copy_ended(), 0x1002 + 17 + 0x1234), "a.cpp:303");
    // A column, a statement's begin, ends of prologues, an instruction set; and an extended operation of no meaning.
    table.bytes({5, 0x81, 0x01, 6, 7, 10, 11, 12, 3, 0, 3, 0x80, 1, 2}).advance(1).row(400);
    EXPECT_EQ(read(table.copy_ended(), 0x1002 + 17 + 0x1235), "a.cpp:403");
}

TEST(SourceLine, OfALaterSourceAndFile) {
    LineTable table;
    table.begin("a.cpp", "/src/include/deep/b.hpp").place(0x1000).row(1).advance(4).end();
    table.place(0x2000).bytes({4, 2}).row(2).advance(4).end().finish();
    table.begin("/src/c.cpp").place(0x3000).row(3).advance(4).end();
    EXPECT_EQ(read(table, 0x1000), "a.cpp:1");
    EXPECT_EQ(read(table, 0x2000), "b.hpp:2");
    EXPECT_EQ(read(table, 0x3001), "c.cpp:3");
}

TEST(SourceLine, OfNamesInTheHeaderItself) {
    LineTable table;
    table.inline_names = true;
    table.begin("dir/a.cpp").place(0x1000).row(1).advance(4).end();
    EXPECT_EQ(read(table, 0x1000), "a.cpp:1");
}

TEST(SourceLine, IsNotKnownOfWhatTheLinkerLeftOut) {
    LineTable table;
    table.begin("gone.cpp").place(0).row(1).advance(0x1800).row(2).advance(0x1800).end();
    EXPECT_EQ(read(table, 0x1000), "");
    EXPECT_EQ(read(table, 0x2000), "");
    table.place(0x2000).row(7).advance(4).end();
    EXPECT_EQ(read(table, 0x2000), "gone.cpp:7");
}

TEST(SourceLine, IsNotKnownOfWhatTheCompilerMade) {
    LineTable table;
    table.begin("a.cpp").place(0x1000).row(0).advance(4).end();
    EXPECT_EQ(read(table, 0x1000), "");
}

TEST(SourceLine, OfALongNameIsItsEnd) {
    LineTable table;
    table.begin("a/" + std::string(60, 'x') + "end.cpp").place(0x1000).row(12345678).advance(4).end();
    EXPECT_EQ(read(table, 0x1000), std::string(39, 'x') + "end.cpp:12345678");
}

TEST(SourceLine, IsNotKnownWhereTheTableIsOfAnotherKind) {
    const auto changed = [](auto change) {
        LineTable table;
        change(table);
        table.begin("a.cpp").place(0x1000).row(1).advance(4).end();
        return read(table, 0x1000);
    };
    EXPECT_EQ(changed([](LineTable&) {}), "a.cpp:1");
    EXPECT_EQ(changed([](LineTable& table) { table.version = 4; }), "");
    EXPECT_EQ(changed([](LineTable& table) { table.is_64_bit = true; }), "");
    EXPECT_EQ(changed([](LineTable& table) { table.section_flags = 1 << 11; }), "");
    EXPECT_EQ(changed([](LineTable& table) { table.line_range = 0; }), "");
    EXPECT_EQ(changed([](LineTable& table) { table.form = 0x25; }), "");  // an index into a table that is not kept
    EXPECT_EQ(changed([](LineTable& table) { table.name_offset = 1000; }), "");
    EXPECT_EQ(changed([](LineTable& table) { table.section_name = ".debug_lines"; }), "");
    // An unknown kind of table hides no other.
    LineTable table;
    table.version = 4;
    table.begin("a.cpp").place(0x1000).row(1).advance(4).end().finish();
    table.version = 5;
    table.begin("b.cpp").place(0x2000).row(2).advance(4).end();
    EXPECT_EQ(read(table, 0x2000), "b.cpp:2");
}

TEST(SourceLine, IsNotKnownOfNamesThatCannotBePrinted) {
    for (const char* name : {"", "a/", "a\x1b[2J.cpp", "a\xc0.cpp"}) {
        LineTable table;
        table.begin(name).place(0x1000).row(1).advance(4).end();
        EXPECT_EQ(read(table, 0x1000), "") << name;
    }
}

TEST(SourceLine, OfATableThatIsCutOffIsNotKnownOrRight) {
    LineTable table;
    table.begin("a.cpp", "b.cpp").place(0x1000).row(1).advance(4).bytes({4, 2}).row(2).advance(4).end().finish();
    table.begin("c.cpp").place(0x2000).row(3).advance(4).end();
    for (size_t size = table.table().size(); size-- > 0;) {
        table.table_size = size;
        const std::string first = read(table, 0x1000), second = read(table, 0x1004), third = read(table, 0x2000);
        EXPECT_TRUE(first.empty() || first == "a.cpp:1") << size << ": " << first;
        EXPECT_TRUE(second.empty() || second == "b.cpp:2") << size << ": " << second;
        EXPECT_EQ(third, "") << size;
    }
    const std::vector<uint8_t> whole = table.file();
    for (size_t size = 0; size < whole.size(); ++size) EXPECT_EQ(read(Bytes(whole).subspan(0, size), 0x2000), "");
}

TEST(SourceLine, RandomDamageGivesALineOrNone) {
    const test::ModuleFile file("crasher");
    const auto module = ElfModule::parse(file.bytes(), "x");
    ASSERT_TRUE(module.ok());
    const uint64_t address =
        ElfModule::find_function(module.value().symbols(), module.value().symbol_names(), "N7Crasher4stopEv");
    ASSERT_NE(address, 0u);
    const std::string whole = read(file.bytes(), address);
    std::vector<uint8_t> bytes(file.bytes().begin(), file.bytes().end());
    // What the linker put last is what is read here: the lines, the symbols, the headers of sections.
    const size_t begin = bytes.size() - bytes.size() / 6;
    size_t changed = 0;
    for (uint32_t seed = 1; seed <= 1000; ++seed) {
        std::mt19937 random(seed);
        std::vector<uint8_t> damaged = bytes;
        for (int i = 0; i < 40; ++i)
            damaged[begin + random() % (damaged.size() - begin)] = static_cast<uint8_t>(random());
        if (seed % 4 == 0) damaged[0x28 + random() % 24] = static_cast<uint8_t>(random());
        const std::string line(source_line(Bytes(damaged), address).text());
        ASSERT_TRUE(is_printable(Text(line.data(), line.size()))) << "seed " << seed;
        changed += line != whole;
    }
    EXPECT_GT(changed, 100u);
    EXPECT_LT(changed, 1000u);
}

}  // namespace
}  // namespace helix::kernel
