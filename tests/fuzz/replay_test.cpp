// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Every file of the committed corpus goes through its fuzz target.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/fuzz/fuzz_target.hpp"

namespace helix::fuzz {
namespace {

struct Target {
    const char* name;
    void (*run)(Bytes);
};

class Replay : public testing::TestWithParam<Target> {};

TEST_P(Replay, TheCorpusBreaksNoPromise) {
    size_t files = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::filesystem::path(HELIX_FUZZ_CORPUS) / GetParam().name)) {
        SCOPED_TRACE(entry.path().string());
        std::ifstream stream(entry.path(), std::ios::binary);
        const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(stream), {}};
        GetParam().run(Bytes(bytes));
        ++files;
    }
    EXPECT_GT(files, 0u);
}

INSTANTIATE_TEST_SUITE_P(Corpus, Replay,
                         testing::Values(Target{"elf", elf}, Target{"archive", archive}, Target{"profile", profile},
                                         Target{"shell_line", shell_line}, Target{"source_line", source_line},
                                         Target{"state_reader", state_reader}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace helix::fuzz
