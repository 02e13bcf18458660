#include <lovage/beat/beat.hpp>
#include <lovage/cli/commands.hpp>
#include <lovage/cli/service_process.hpp>
#include <lovage/runtime/settings.hpp>
#include <lovage/runtime/url.hpp>

#include <ostream>

#include <fmt/core.h>

namespace lovage::cli {

namespace {

/// One that follows is ready, too: it takes over when it has to.
Result<void> check_connected(const Beat& beat) {
    if (beat.status().connected) return {};
    return fail(Errc::unavailable, "waiting for broker and state store");
}

ServiceReport::State beat_state(const Beat& beat) {
    const BeatStatus now = beat.status();
    if (!now.connected) {
        return {ServiceReport::Phase::starting, "waiting for broker and state store"};
    }
    return {ServiceReport::Phase::serving,
            now.leads ? fmt::format("leads schedule '{}': {} entries", beat.schedule(), now.entries)
                      : fmt::format("follows schedule '{}'", beat.schedule())};
}

void print_start(App& app, const Beat& beat, Console& console) {
    const Settings& settings = app.settings();
    console.out << fmt::format(
        "beat: {} is starting.\n  schedule    {}\n  broker      {}\n  state       {}\n"
        "  time zone   {}\n",
        version_text(), beat.schedule(), display_urls(settings.broker_url),
        display_urls(settings.result_backend), settings.timezone);
    console.out << std::flush;
}

}  // namespace

int run_beat(App& app, const BeatArguments& arguments, Console& console) {
    ServiceProcess process{app, "beat"};
    Beat beat{app, {.schedule = arguments.schedule, .on_change = [&] { process.changed(); }}};
    const auto opened =
        process.open({.run = [&] { return beat.run(); },
                      // What is being sent is finished, whatever signal comes and however often.
                      .stop = [&](int /*signal*/) { beat.request_stop(); },
                      .state = [&] { return beat_state(beat); },
                      .ready = [&] { return check_connected(beat); }},
                     arguments.health);
    if (!opened) {
        report(console, opened.error());
        return kFailure;
    }
    print_start(app, beat, console);
    const Result<void> outcome = process.run();
    return outcome ? kSuccess : report(console, outcome.error());
}

}  // namespace lovage::cli
