// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Archives and images, read back with the kernel's own readers.

#include "boot_image.hpp"

#include "archive_writer.hpp"
#include "failure.hpp"
#include "files.hpp"

#include "kernel/module/archive.hpp"
#include "kernel/module/elf.hpp"
#include "kernel/module/profile.hpp"

#include <elf.h>
#include <gmock/gmock.h>

#include <cstring>

namespace helix::tool {
namespace {

Bytes as_kernel_bytes(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

TEST(ArchiveWriter, IsReadByTheKernel) {
    ArchiveWriter writer;
    writer.add("one", "1");
    writer.add("empty", "");
    writer.add("three", std::string(5000, 'x'));
    const std::string bytes = writer.finish();
    ASSERT_TRUE(kernel::Archive::validate(as_kernel_bytes(bytes)).ok());
    const kernel::Archive archive(as_kernel_bytes(bytes));
    EXPECT_EQ(archive.find("one").value().size(), 1u);
    EXPECT_EQ(archive.find("empty").value().size(), 0u);
    EXPECT_EQ(archive.find("three").value().size(), 5000u);
    EXPECT_FALSE(archive.find("two").ok());
}

TEST(ArchiveWriter, SaysWhatMayBeExecuted) {
    constexpr size_t kModeAt = 14;  // behind magic number and inode, eight hexadecimal digits
    ArchiveWriter writer;
    writer.add("data", "");
    EXPECT_EQ(writer.finish().substr(kModeAt, 8), "000081A4");
    writer.add_program("init", "");
    EXPECT_EQ(writer.finish().substr(kModeAt, 8), "000081ED");
}

BootPlan small_plan() {
    return make_plan(parse_profile("[modules]\nstatic = [\"helix-execution\", \"helix-scheduler-round-robin\"]\n"
                                   "dynamic = [\"template\"]\n",
                                   "p/helix.toml"),
                     ModuleLibrary(HELIX_MODULE_DIRECTORY));
}

TEST(Bundle, HoldsProfileAndStrippedModules) {
    const BootPlan plan = small_plan();
    const std::string bundle = make_bundle(plan);
    const kernel::Archive archive(as_kernel_bytes(bundle));
    const auto profile = kernel::Profile::parse(archive.find("profile").value());
    ASSERT_TRUE(profile.ok());
    EXPECT_EQ(profile.value().value("modules.static"), Text("helix-execution helix-scheduler-round-robin"));
    const auto module = archive.find("helix-execution.hmod");
    ASSERT_TRUE(module.ok());
    EXPECT_LT(module.value().size(), plan.modules[0].bytes.size() / 2);
    EXPECT_TRUE(kernel::ElfModule::parse(module.value(), "helix-execution.hmod").ok());
}

TEST(Initrd, HoldsDynamicModulesAndFilesThatMayTakeTheirPlace) {
    const BootPlan plan = small_plan();
    const std::string initrd = make_initrd(plan, {{"exec", "modules"}});
    const kernel::Archive archive(as_kernel_bytes(initrd));
    EXPECT_TRUE(archive.find("template.hmod").ok());
    EXPECT_EQ(as_text(archive.find("exec").value()), Text("modules"));
    const std::string replaced = make_initrd(plan, {{"template.hmod", "mine"}});
    EXPECT_EQ(as_text(kernel::Archive(as_kernel_bytes(replaced)).find("template.hmod").value()), Text("mine"));
    EXPECT_THROW(make_initrd(plan, {{"a", ""}, {"a", ""}}), Failure);
}

TEST(StripElf, RefusesDamagedFiles) {
    EXPECT_THROW(strip_elf("no elf", "x"), Failure);
    const std::string whole = read_file(HELIX_MODULE_DIRECTORY "/template.hmod");
    EXPECT_THROW(strip_elf(whole.substr(0, 100), "x"), Failure);
    EXPECT_THROW(strip_elf(whole.substr(0, 4097), "x"), Failure);
}

/// An image with one segment of code and the placeholder behind it.
std::string small_image(uint64_t placeholder_address) {
    std::string image(0x2000, '\0');
    Elf64_Ehdr header{};
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_phoff = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 2;
    const Elf64_Phdr programs[2] = {{.p_type = PT_LOAD,
                                     .p_flags = PF_R | PF_X,
                                     .p_offset = 0x1000,
                                     .p_vaddr = 0x1000,
                                     .p_paddr = 0x1000,
                                     .p_filesz = 0x800,
                                     .p_memsz = 0x1000,
                                     .p_align = 0x1000},
                                    {.p_type = PT_LOAD,
                                     .p_flags = PF_R,
                                     .p_offset = 0x1800,
                                     .p_vaddr = placeholder_address,
                                     .p_paddr = placeholder_address,
                                     .p_filesz = 0,
                                     .p_memsz = 0,
                                     .p_align = 0x1000}};
    memcpy(image.data(), &header, sizeof(header));
    memcpy(image.data() + sizeof(header), programs, sizeof(programs));
    return image;
}

TEST(EmbedBundle, AppendsItAndPatchesThePlaceholder) {
    const std::string image = embed_bundle(small_image(0x2800), "the bundle", "k");
    Elf64_Phdr placeholder;
    memcpy(&placeholder, image.data() + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr), sizeof(placeholder));
    EXPECT_EQ(placeholder.p_offset, 0x1800u) << "right behind the segment before";
    EXPECT_EQ(placeholder.p_filesz, 26u);
    EXPECT_EQ(placeholder.p_memsz, 26u);
    EXPECT_EQ(image.substr(placeholder.p_offset, 8), "HELIXBND");
    uint64_t size = 0;
    memcpy(&size, image.data() + placeholder.p_offset + 8, sizeof(size));
    EXPECT_EQ(size, 10u);
    EXPECT_EQ(image.substr(placeholder.p_offset + 16), "the bundle");
}

TEST(EmbedBundle, RefusesAnImageWithoutPlaceholderAtItsEnd) {
    EXPECT_THROW(embed_bundle(small_image(0x1800), "b", "k"), Failure);
    EXPECT_THROW(embed_bundle(small_image(0x2810), "b", "k"), Failure);
}

TEST(ForgetOldFiles, KeepsWhatIsUsedAndWhatMayBe) {
    using std::chrono::hours;
    using std::chrono::minutes;
    const TemporaryDirectory directory;
    const auto now = std::filesystem::file_time_type::clock::now();
    const auto file = [&](const char* name, std::filesystem::file_time_type used) {
        const std::filesystem::path path = directory.path() / name;
        write_file(path, name);
        std::filesystem::last_write_time(path, used);
        return path;
    };
    const auto of_yesterday = file("yesterday", now - hours(25));
    const auto of_last_build = file("last_build", now - hours(3));
    const auto of_this_build = file("this_build", now - hours(1) - minutes(30));
    const auto fresh = file("fresh", now - minutes(30));
    forget_old_files(directory.path(), now - hours(30));
    EXPECT_FALSE(std::filesystem::exists(of_yesterday));
    EXPECT_TRUE(std::filesystem::exists(of_last_build));
    forget_old_files(directory.path(), now - hours(2));
    EXPECT_FALSE(std::filesystem::exists(of_last_build));
    EXPECT_TRUE(std::filesystem::exists(of_this_build));
    forget_old_files(directory.path(), now);
    EXPECT_FALSE(std::filesystem::exists(of_this_build));
    EXPECT_TRUE(std::filesystem::exists(fresh));
}

}  // namespace
}  // namespace helix::tool
