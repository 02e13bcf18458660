#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace lovage::cli {

/// What a worker says about itself when it starts.
struct BannerFacts {
    std::string hostname;  ///< Node name.
    std::string version;   ///< "Lovage 0.1.0"
    std::string platform;  ///< "Linux-6.1.0-x86_64"
    std::string started;   ///< "2026-11-21 17:51:02"
    std::string app;
    std::string transport;  ///< URL without secrets.
    std::string results;    ///< URL without secrets.
    std::size_t concurrency = 0;
    std::string pool;
    std::vector<std::string> queues;
    std::vector<std::string> tasks;  ///< Names, sorted.
};

/// The banner: a drawing, then Celery's [config], [queues] and [tasks] blocks.
[[nodiscard]] std::string banner(const BannerFacts& facts, bool color);

}  // namespace lovage::cli
