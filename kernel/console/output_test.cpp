// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Output writes everything in order with little memory; tables line up, in one part or several.
#include "kernel/console/output.hpp"

#include "tests/unit/fake_port.hpp"

#include <memory>
#include <string>

namespace helix::kernel {
namespace {

class StringSink final : public TextSink {
public:
    void write(Text text) override { content.append(text.data(), text.size()); }
    std::string content;
};

class OutputTest : public test::KernelTest {
protected:
    void SetUp() override {
        ASSERT_TRUE(pages->init(machine.memory()).ok());
        heap->init(*pages);
    }
    static std::string written(auto action) {
        testing::internal::CaptureStderr();
        action();
        return testing::internal::GetCapturedStderr();
    }

    std::unique_ptr<Log> log = std::make_unique<Log>();
    std::unique_ptr<PageAllocator> pages = std::make_unique<PageAllocator>();
    std::unique_ptr<Heap> heap = std::make_unique<Heap>();
};

TEST_F(OutputTest, CollectsUntilFinished) {
    Output out(*heap, *log);
    EXPECT_EQ(written([&] { out.print("{} and {}", 1, "two"); }), "");
    EXPECT_EQ(written([&] { out.finish(); }), "1 and two");
    EXPECT_EQ(written([&] {
                  out.write("forgotten");
                  out.discard();
                  out.finish();
              }),
              "");
}

TEST_F(OutputTest, SendsNothingThatATerminalObeys) {
    Output out(*heap, *log);
    EXPECT_EQ(written([&] {
                  out.write("\x1b[31mred\x07 \x7f\xc2\x9b\xff\r\n\tgröße €😀");
                  out.finish();
              }),
              "\\x1b[31mred\\x07 \\x7f\\xc2\\x9b\\xff\\x0d\n\tgröße €😀");
    EXPECT_EQ(written([&] {
                  out.write_line("one\nerror: two\t");
                  out.finish();
              }),
              "one\\x0aerror: two\\x09\n");
}

TEST_F(OutputTest, KeepsNoLargeBuffer) {
    Output out(*heap, *log);
    (void)written([&] {
        out.write("small");
        out.finish();
    });
    const uint64_t before = heap->bytes_in_use();
    (void)written([&] {
        for (int i = 0; i < 20'000; ++i) out.write("large");
        out.finish();
    });
    EXPECT_LE(heap->bytes_in_use(), before);
}

TEST_F(OutputTest, WritesAnyAmountInOrderWithBoundedMemory) {
    std::string expected;
    const uint64_t before = heap->bytes_in_use();
    uint64_t most = 0;
    const std::string all = written([&] {
        Output out(*heap, *log);
        for (int i = 0; i < 20'000; ++i) {
            const std::string part = std::to_string(i) + "\n";
            expected += part;
            out.write(Text(part));
            most = std::max(most, heap->bytes_in_use() - before);
        }
        const std::string large(40'000, 'x');
        expected += large;
        out.write(Text(large));
    });
    EXPECT_EQ(all, expected);
    EXPECT_LE(most, 16u * 1024);
    EXPECT_EQ(heap->bytes_in_use(), before);
}

TEST_F(OutputTest, LogLinesNeverStandInsideTheTextOfACommand) {
    const std::string all = written([&] {
        Output out(*heap, *log);
        for (int i = 0; i < 5'000; ++i) {
            out.write("abcdefgh");
            if (i == 4'000) log->warning("kernel", "meanwhile");  // 32,000 bytes went out already, in part
        }
        out.finish();
    });
    ASSERT_EQ(all.find('['), 40'000u);
    EXPECT_EQ(all.substr(40'000), "[    0.000000] kernel: meanwhile\n");
}

TEST_F(OutputTest, LosesNothingWithoutMemory) {
    Heap empty;
    PageAllocator none;
    empty.init(none);
    Output out(empty, *log);
    EXPECT_EQ(written([&] {
                  out.write("one ");
                  out.write("two");
                  out.finish();
              }),
              "one two");
}

TEST(Table, AlignsItsColumns) {
    StringSink sink;
    char scratch[512];
    constexpr Column kColumns[] = {{"ID", Column::Align::Right}, {"NAME"}, {"SIZE", Column::Align::Right}, {"TEXT"}};
    Table table(sink, kColumns, Span<char>(scratch));
    for (uint32_t i = 0; i < 2; ++i) {
        table.cell(i == 0 ? 7u : 12345u);
        table.cell(i == 0 ? Text("größe") : Text("a"));
        table.cell(i);
        table.cell("last column");
    }
    table.finish();
    EXPECT_EQ(sink.content,
              "   ID  NAME   SIZE  TEXT\n"
              "    7  größe     0  last column\n"
              "12345  a         1  last column\n");
}

TEST(Table, SaysWhenThereIsNothing) {
    StringSink sink;
    char scratch[64];
    constexpr Column kColumns[] = {{"A"}};
    Table(sink, kColumns, Span<char>(scratch)).finish("(no module)");
    EXPECT_EQ(sink.content, "(no module)\n");
}

TEST(Table, PrintsInPartsWhatDoesNotFit) {
    StringSink sink;
    char scratch[40];
    constexpr Column kColumns[] = {{"N", Column::Align::Right}, {"SQUARE"}};
    Table table(sink, kColumns, Span<char>(scratch));
    for (uint32_t i = 0; i < 1000; ++i) {
        table.cell(i);
        table.cell(i * i);
    }
    table.finish();
    size_t lines = 0;
    for (char c : sink.content) lines += c == '\n' ? 1 : 0;
    EXPECT_EQ(lines, 1001u);
    EXPECT_EQ(sink.content.substr(0, 10), "N  SQUARE\n");
    EXPECT_TRUE(sink.content.ends_with("\n999  998001\n"));
    for (int i = 0; i < 1000; ++i)
        EXPECT_NE(sink.content.find(std::to_string(i) + "  " + std::to_string(i * i) + "\n"), std::string::npos) << i;
}

TEST(Table, CutsARowThatIsLargerThanItsMemory) {
    StringSink sink;
    char scratch[10];
    constexpr Column kColumns[] = {{"A"}, {"B"}};
    Table table(sink, kColumns, Span<char>(scratch));
    table.cell("0123456789abcdef");
    table.cell("x");
    table.cell("1");
    table.cell("2");
    table.finish();
    EXPECT_EQ(sink.content, "A         B\n01234567\n1         2\n");
}

}  // namespace
}  // namespace helix::kernel
