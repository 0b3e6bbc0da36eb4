// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// module.thousand and module.memory: a thousand modules that implement one interface, beside dlopen of as many files;
// lookup.primary and lookup.primary.1000: who is the primary one, asked by a module, of one and of a thousand, beside
// POCO's ClassLoader, which finds a class by its name.
#include "dlopen_peer.hpp"
#include "metric.hpp"

#include <fstream>

namespace {

using namespace helix;
namespace fs = std::filesystem;

constexpr size_t kModules = 1000;
constexpr size_t kRounds = 5;
constexpr char kModule[] = "helix-benchmark-target";
constexpr char kBenchmark[] = "helix-benchmark";

uint64_t thousand_ns[kRounds];
uint64_t memory_bytes[kRounds];
uint64_t segment_bytes;  // of one of them
char lookups[1024];
size_t lookups_size;

FixedText<46> name_of(size_t number) {
    return format<46>("implementor-{}", number);
}

/// Copies of one module's file under names of their own. A name lies inline in the descriptor, and no checksum covers
/// it.
std::vector<std::pair<std::string, std::string>> make_files() {
    std::ifstream stripped(benchmark::stripped_module(kModule), std::ios::binary);
    const std::string file{std::istreambuf_iterator<char>(stripped), {}};
    const FixedText<46> before{Text(kModule)};
    const size_t at = file.find(std::string_view(reinterpret_cast<const char*>(&before), sizeof(before)));
    if (at == std::string::npos) {
        fprintf(stderr, "%s: its name is not where it was\n", kModule);
        exit(125);
    }
    std::vector<std::pair<std::string, std::string>> files;
    for (size_t i = 0; i < kModules; ++i) {
        const FixedText<46> name = name_of(i);
        std::string copy = file;
        copy.replace(at, sizeof(name), reinterpret_cast<const char*>(&name), sizeof(name));
        files.emplace_back(std::string(name.text()) + ".hmod", std::move(copy));
    }
    return files;
}

/// In nanoseconds, with the files in a folder of their own.
std::vector<uint64_t> time_dlopen(const std::vector<std::pair<std::string, std::string>>& files) {
    std::string folder = (fs::temp_directory_path() / "helix-bench-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) exit(125);
    for (const auto& [name, content] : files) std::ofstream(fs::path(folder) / name, std::ios::binary) << content;
    std::vector<uint64_t> rounds;
    for (size_t round = 0; round < kRounds; ++round) {
        std::vector<void*> libraries;
        const uint64_t begin = benchmark::host_now_ns();
        for (const auto& [name, content] : files)
            libraries.push_back(dlopen((fs::path(folder) / name).c_str(), RTLD_NOW | RTLD_LOCAL));
        rounds.push_back(benchmark::host_now_ns() - begin);
        for (void* const library : libraries)
            if (library == nullptr || dlclose(library) != 0) exit(125);
    }
    fs::remove_all(folder);
    return rounds;
}

std::vector<double> in_ms(const std::vector<uint64_t>& ns) {
    std::vector<double> ms;
    for (const uint64_t each : ns) ms.push_back(static_cast<double>(each) / 1e6);
    return ms;
}

/// What the module printed of a look-up, with the peer in it if that is there.
std::string with_poco(std::string line, benchmark::PocoNames names) {
    constexpr std::string_view kNoPeers = "\"peers\":{}";
    const std::vector<double> samples = benchmark::time_poco_lookups(names);
    if (samples.empty()) return line;
    char peers[40];
    snprintf(peers, sizeof(peers), "\"peers\":{\"poco\":%.2f}", benchmark::quantile(samples, 0.5));
    return line.replace(line.find(kNoPeers), kNoPeers.size(), peers);
}

Result<void> look_up(kernel::Kernel& kernel, Text metric) {
    const Response response = TRY(kernel.modules.request(nullptr, kBenchmark, "lookup", as_bytes(metric)));
    if (!response.is_ok()) return Error(ErrorCode::ModuleFailed, response.sentence());
    const Bytes bytes = response.payload().bytes();
    if (bytes.size() > sizeof(lookups) - lookups_size) return ErrorCode::OutOfRange;
    memcpy(lookups + lookups_size, bytes.data(), bytes.size());
    lookups_size += bytes.size();
    return {};
}

Result<void> load_thousand(kernel::Kernel& kernel, size_t round) {
    const uint64_t free = kernel.pages.free_pages();
    const uint64_t begin = arch::now_ns();
    for (size_t i = 0; i < kModules; ++i) TRY(kernel.modules.load(format<62>("{}.hmod", name_of(i).text()).text()));
    thousand_ns[round] = arch::now_ns() - begin;
    memory_bytes[round] = (free - kernel.pages.free_pages()) * kPageSize / kModules - segment_bytes;
    return {};
}

Result<void> measure(kernel::Kernel& kernel) {
    TRY(kernel.modules.load(name_of(0).text()));
    TRY(kernel.modules.load(kBenchmark));
    TRY(look_up(kernel, "lookup.primary"));
    for (size_t i = 1; i < kModules; ++i) TRY(kernel.modules.load(name_of(i).text()));
    TRY(look_up(kernel, "lookup.primary.1000"));
    TRY(kernel.modules.unload(kBenchmark));
    for (size_t i = kModules; i-- > 0;) TRY(kernel.modules.unload(name_of(i).text()));
    for (size_t round = 0; round < kRounds; ++round) {
        TRY(load_thousand(kernel, round));
        for (size_t i = kModules; i-- > 0;) TRY(kernel.modules.unload(name_of(i).text()));
    }
    return {};
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (benchmark::only_lists(argument_count, arguments,
                              {"lookup.primary", "lookup.primary.1000", "module.thousand", "module.memory"}))
        return 0;
    benchmark::KernelOptions options;
    options.memory_mb = 512;
    options.files = make_files();
    const std::string& file = options.files[0].second;
    const auto parsed = kernel::ElfModule::parse({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, kModule);
    if (!parsed.ok()) return 1;
    for (const kernel::ElfSegment& segment : parsed.value().segments())
        segment_bytes += segment.page_count() * kPageSize;
    const std::vector<double> peer = in_ms(time_dlopen(options.files));
    if (!benchmark::run_in_kernel({kBenchmark}, measure, options)) return 1;
    const std::string_view lines(lookups, lookups_size);
    const size_t first = lines.find('\n') + 1;
    fputs(with_poco(std::string(lines.substr(0, first)), benchmark::PocoNames::One).c_str(), stdout);
    fputs(with_poco(std::string(lines.substr(first)), benchmark::PocoNames::Thousand).c_str(), stdout);
    benchmark::print_metric<double>("module.thousand", "ms", in_ms({thousand_ns, thousand_ns + kRounds}),
                                    {{"dlopen", peer}});
    benchmark::print_metric("module.memory", "bytes", {memory_bytes, memory_bytes + kRounds});
    return 0;
}
