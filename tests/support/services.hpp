#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace lovage::testing_support {

/// The URL of a server for tests, by its variable: LOVAGE_TEST_AMQP_URL, LOVAGE_TEST_REDIS_URL and
/// so on (tools/services/README.md). Throws when there is none, since a test that needs a server
/// must fail, not pass, without one.
inline std::string service_url(const char* variable) {
    const char* url = std::getenv(variable);
    if (url == nullptr || *url == '\0') {
        throw std::runtime_error{std::string{variable} +
                                 " is not set; ./dev test starts the servers that tests need, and "
                                 "for a test program run by hand there is:\n"
                                 "    ./dev services up && source build/services/env"};
    }
    return url;
}

}  // namespace lovage::testing_support
