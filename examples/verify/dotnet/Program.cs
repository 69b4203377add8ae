using Microsoft.AspNetCore.Authentication.JwtBearer;

var builder = WebApplication.CreateBuilder(args);
builder.Services.AddAuthorization();
builder.Services.AddAuthentication(JwtBearerDefaults.AuthenticationScheme).AddJwtBearer(options =>
{
    options.Authority = "https://auth.example.com";
    options.MapInboundClaims = false;
    options.TokenValidationParameters.ValidIssuer = "https://auth.example.com";
    options.TokenValidationParameters.ValidAudience = "orders";
    options.TokenValidationParameters.ValidTypes = ["at+jwt"];
    options.TokenValidationParameters.ValidAlgorithms = ["ES256", "RS256"];
});

var app = builder.Build();
app.UseAuthentication();
app.UseAuthorization();
app.MapGet("/orders", (HttpContext context) => context.User.FindFirst("sub")?.Value).RequireAuthorization();
app.Run();
