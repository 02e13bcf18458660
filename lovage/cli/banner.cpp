#include <lovage/cli/banner.hpp>

#include <lovage/runtime/detail/printable.hpp>

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/core.h>

namespace lovage::cli {

namespace {

/// A sprig of lovage; each line is as wide as the others.
constexpr std::array<std::string_view, 11> kDrawing{
    R"(      _\/_      )",  //
    R"(   _\/_\/_\/_   )",  //
    R"(   _\/_\/_\/_   )",  //
    R"(    /\ \/ /\    )",  //
    R"( _\/_  ||  _\/_ )",  //
    R"( _\/_\ || /_\/_ )",  //
    R"(  /\  \||/  /\  )",  //
    R"(       ||       )",  //
    R"(   \_  || _/    )",  //
    R"(     \_||/      )",  //
    R"(       ||       )",  //
};

constexpr std::string_view kGreen = "\x1b[32m";
constexpr std::string_view kPlain = "\x1b[0m";

}  // namespace

std::string banner(const BannerFacts& facts, bool color) {
    std::vector<std::string> beside{
        "",
        fmt::format("{}  {}", facts.hostname, facts.version),
        fmt::format("{}  {}", facts.platform, facts.started),
        "",
        "[config]",
        ".> app:         " + facts.app,
        ".> transport:   " + facts.transport,
        ".> results:     " + facts.results,
        fmt::format(".> concurrency: {} ({})", facts.concurrency, facts.pool),
        "",
        "[queues]",
    };
    // Each queue is bound to an exchange of its own name, as Celery makes them.
    for (const std::string& queue : facts.queues) {
        beside.push_back(fmt::format(".> {:<16} exchange={}(direct) key={}", queue, queue, queue));
    }

    std::string text;
    const std::string blank(kDrawing[0].size(), ' ');
    for (std::size_t i = 0; i < std::max(beside.size(), kDrawing.size()); ++i) {
        const std::string_view drawn = i < kDrawing.size() ? kDrawing[i] : std::string_view{blank};
        std::string line;
        const bool green = color && i < kDrawing.size();
        if (green) line += kGreen;
        line += drawn;
        if (green) line += kPlain;
        line += "  " + lovage::detail::printable_line(i < beside.size() ? beside[i] : "");
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + '\n';
    }
    text += "\n[tasks]\n";
    for (const std::string& task : facts.tasks) {
        text += "  . " + lovage::detail::printable_line(task) + '\n';
    }
    return text + '\n';
}

}  // namespace lovage::cli
