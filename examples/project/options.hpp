#pragma once

#include <cstdint>
#include <string>

#include <lovage/http/server.hpp>

namespace project {

/// The command line of the programs that serve the API.
struct Options {
    std::string host = "127.0.0.1";
    std::uint16_t port = 5000;
    bool traffic = true;  ///< The demo sends a few tasks by itself.
    bool help = false;
};

/// Throws std::invalid_argument, naming the option, for what is no option or no value of one.
[[nodiscard]] Options parse_options(int argc, char** argv);

/// What --help prints.
[[nodiscard]] std::string help_text(const std::string& program, const std::string& what);

/// Makes `server` listen where the options say. Throws LovageError; a taken port names its holder
/// and the option that chooses another.
void listen(lovage::http::Server& server, const Options& options);

}  // namespace project
