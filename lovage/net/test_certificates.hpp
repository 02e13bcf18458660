#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

namespace lovage::net {

/// Certificates made at test time by openssl(1), as NAME.pem and NAME.key: "ca" and "other-ca", and
/// signed by the first "server" (for localhost and 127.0.0.1) and "client".
class TestCertificates {
public:
    TestCertificates() {
        std::string pattern = std::filesystem::temp_directory_path() / "lovage-tls-XXXXXX";
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error{"no folder for the test"};
        folder_ = pattern;
        self_signed("ca", "/CN=lovage test CA", "basicConstraints=critical,CA:TRUE");
        self_signed("other-ca", "/CN=another CA", "basicConstraints=critical,CA:TRUE");
        signed_by_ca("server", "/CN=server", "subjectAltName=DNS:localhost,IP:127.0.0.1");
        signed_by_ca("client", "/CN=client", "subjectAltName=DNS:client");
    }
    ~TestCertificates() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    TestCertificates(const TestCertificates&) = delete;
    TestCertificates& operator=(const TestCertificates&) = delete;

    [[nodiscard]] std::string file(const std::string& name) const {
        return (folder_ / name).string();
    }

private:
    void self_signed(const std::string& name, const std::string& subject,
                     const std::string& extension) {
        run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '" +
            subject + "' -addext '" + extension + "' -keyout " + file(name + ".key") + " -out " +
            file(name + ".pem"));
    }
    void signed_by_ca(const std::string& name, const std::string& subject,
                      const std::string& extension) {
        run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '" +
            subject + "' -addext '" + extension + "' -addext basicConstraints=critical,CA:FALSE" +
            " -CA " + file("ca.pem") + " -CAkey " + file("ca.key") + " -keyout " +
            file(name + ".key") + " -out " + file(name + ".pem"));
    }
    void run(const std::string& command) {
        const std::string quiet = command + " 2>" + file("openssl.log");
        if (std::system(quiet.c_str()) != 0) {
            throw std::runtime_error{"failed: " + command};
        }
    }

    std::filesystem::path folder_;
};

}  // namespace lovage::net
