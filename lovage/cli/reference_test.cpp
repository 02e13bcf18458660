#include <lovage/cli/reference.hpp>

#include <lovage/cli/arguments.hpp>
#include <lovage/runtime/detail/settings_table.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace lovage::cli {
namespace {

using ::testing::HasSubstr;

std::string committed(const std::string& page) {
    std::ifstream file{std::string{LOVAGE_REFERENCE} + "/" + page, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

TEST(Reference, PagesAreWhatTheCodeSays) {
    EXPECT_EQ(committed("settings.md"), settings_reference())
        << "docs/reference/settings.md is out of date: `./dev docs` writes it anew";
    EXPECT_EQ(committed("cli.md"), cli_reference())
        << "docs/reference/cli.md is out of date: `./dev docs` writes it anew";
}

TEST(Reference, HasEverySettingWithItsNamesAndItsSentence) {
    const std::string page = settings_reference();
    for (const auto& setting : lovage::detail::settings_table()) {
        EXPECT_THAT(page, HasSubstr("\n### " + std::string{setting.name} + "\n\n" +
                                    std::string{setting.sentence.text()} + "\n"));
        for (const std::string& name : lovage::detail::environment_names(setting)) {
            EXPECT_THAT(page, HasSubstr('`' + name + '`'));
        }
    }
}

TEST(Reference, SaysWhichOptionIsWhichSetting) {
    EXPECT_THAT(settings_reference(), HasSubstr("- Option: `-c`, `--concurrency` of `worker`\n"));
    EXPECT_THAT(cli_reference(),
                HasSubstr("Slots; default: processors "
                          "([`worker_concurrency`](settings.md#worker_concurrency)) |"));
}

TEST(Reference, OptionsOfSettingsNameSettingsThatExist) {
    for (const CommandReference& command : describe_commands()) {
        for (const OptionReference& option : command.options) {
            if (option.setting.empty()) continue;
            EXPECT_NE(lovage::detail::find_setting(option.setting), nullptr) << option.setting;
        }
    }
}

TEST(Reference, EveryCommandAndOptionIsExplained) {
    for (const CommandReference& command : describe_commands()) {
        EXPECT_FALSE(command.what.empty()) << command.name;
        for (const OptionReference& option : command.options) {
            EXPECT_FALSE(option.what.empty()) << command.name << ' ' << option.names;
        }
        for (const OptionReference& argument : command.arguments) {
            EXPECT_FALSE(argument.what.empty()) << command.name << ' ' << argument.names;
        }
    }
}

}  // namespace
}  // namespace lovage::cli
