// Prints a line `name TAB hash` for each form that Spring Security writes. Arguments: the password.
import org.springframework.security.crypto.argon2.Argon2PasswordEncoder;
import org.springframework.security.crypto.bcrypt.BCryptPasswordEncoder;
import org.springframework.security.crypto.password.Pbkdf2PasswordEncoder;
import org.springframework.security.crypto.password.PasswordEncoder;
import org.springframework.security.crypto.scrypt.SCryptPasswordEncoder;

class Systems {
  public static void main(String[] arguments) {
    print("bcrypt", new BCryptPasswordEncoder(4), arguments[0]);
    print("pbkdf2", Pbkdf2PasswordEncoder.defaultsForSpringSecurity_v5_5(), arguments[0]);
    print("pbkdf2@SpringSecurity_v5_8", Pbkdf2PasswordEncoder.defaultsForSpringSecurity_v5_8(), arguments[0]);
    print("scrypt", new SCryptPasswordEncoder(1024, 8, 1, 32, 64), arguments[0]);
    print("scrypt@SpringSecurity_v5_8", new SCryptPasswordEncoder(1024, 8, 1, 32, 16), arguments[0]);
    print("argon2", Argon2PasswordEncoder.defaultsForSpringSecurity_v5_2(), arguments[0]);
    print("argon2@SpringSecurity_v5_8", new Argon2PasswordEncoder(16, 32, 1, 64, 1), arguments[0]);
  }

  private static void print(String id, PasswordEncoder encoder, String password) {
    System.out.println("Spring {" + id + "}\t{" + id + "}" + encoder.encode(password));
  }
}
