from flask import Flask

app = Flask(__name__)


@app.get("/")
def orders():
    return {"orders": 7}
